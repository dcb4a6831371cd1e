#!/usr/bin/env bash
# Two whole searches by lockstep tune on one rank and two, beside KerasTuner on some of their trials. Installs what it needs, builds,
# measures.
#   tools/bench/tune.sh [OPTIONS]     options of tune.py: --rounds N, --trials N, --epochs N, --output DIRECTORY
# Leaves tune.md, tune.csv, networks.csv and networks.png in build-bench/results/. README.md beside this file explains them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tools/common.sh
. tools/bench/prepare.sh

prepare_packages
prepare_python
build_lockstep
begin_step "Measurements"
.venv-bench/bin/python tools/bench/tune.py "$@"
