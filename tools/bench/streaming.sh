#!/usr/bin/env bash
# Training on data larger than memory: rows kept in memory, streamed from a file and made on the fly, time and memory as the
# samples grow, and Keras with tf.data and PyTorch's DataLoader on the same file. Installs what it needs, builds, measures.
#   tools/bench/streaming.sh [OPTIONS]     options of streaming.py: --samples M, --rounds N, --ranks 1,2, --output DIRECTORY
# Leaves streaming.md and streaming.csv in build-bench/results/. README.md beside this file explains them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tools/common.sh
. tools/bench/prepare.sh

prepare_benchmark
begin_step "Measurements"
.venv-bench/bin/python tools/bench/streaming.py "$@"
