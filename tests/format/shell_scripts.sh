#!/usr/bin/env bash
# No shell script gives shellcheck reason to complain.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
shellcheck --external-sources .ci/run tools/*.sh tools/bench/*.sh tests/format/*.sh jobs/*.sbatch
