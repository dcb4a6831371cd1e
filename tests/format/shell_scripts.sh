#!/usr/bin/env bash
# shellcheck has no complaint about any shell script.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
shellcheck --external-sources .ci/run tools/*.sh tests/format/*.sh jobs/*.sbatch
