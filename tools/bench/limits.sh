#!/usr/bin/env bash
# How far lockstep is from what the machine allows: its steps beside their parts alone. Installs what it needs, builds,
# measures.
#   tools/bench/limits.sh [OPTIONS]      options of limits.py: --rounds N, --rows NAME,..., --output DIRECTORY
# Leaves limits.md and limits.csv in build-bench/results/. README.md beside this file explains them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tools/common.sh
. tools/bench/prepare.sh

prepare_benchmark
begin_step "Measurements"
.venv-bench/bin/python tools/bench/limits.py "$@"
