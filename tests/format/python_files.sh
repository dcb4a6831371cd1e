#!/usr/bin/env bash
# Every Python file compiles; nothing is written beside it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
find tools tests -name '*.py' -print0 | xargs -0 /usr/bin/python3 -c '
import sys
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        compile(file.read(), path, "exec")
'
