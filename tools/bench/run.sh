#!/usr/bin/env bash
# The benchmark: lockstep, Keras, PyTorch, JAX, scikit-learn and FANN on the same work, in turn. Installs what it needs,
# builds, measures.
#   tools/bench/run.sh [OPTIONS]      options of bench.py: --rounds N, --rows NAME,..., --systems NAME,..., --output DIRECTORY
# Leaves table.md, results.csv, rounds.csv and picture.png in build-bench/results/. README.md beside this file explains them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tools/common.sh
. tools/bench/prepare.sh

prepare_benchmark
begin_step "Measurements"
.venv-bench/bin/python tools/bench/bench.py "$@"
