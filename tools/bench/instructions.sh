#!/usr/bin/env bash
# A guard against slower kernels that does not depend on the neighbours: instructions per sample of small training runs,
# counted by valgrind, must be those of instructions.csv within 3 %. Installs what it needs and builds.
#   tools/bench/instructions.sh [--update] [CASE...]      --update writes instructions.csv
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tools/common.sh
. tools/bench/prepare.sh

prepare_packages
build_lockstep
begin_step "Counting instructions"
/usr/bin/python3 tools/bench/instructions.py "$@"
