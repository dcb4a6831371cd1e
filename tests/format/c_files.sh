#!/usr/bin/env bash
# Every C file is as clang-format with the repository's style leaves it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
find include src tests tools -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run -Werror
