"""Shows that run_case.py accepts what it should and catches each kind of difference.

    self_test.py MPIEXEC
"""
import os
import subprocess
import sys
import tempfile

PROGRAM = """#!/bin/sh
case "$1" in
hello) [ "${OMPI_COMM_WORLD_RANK:-0}" != 0 ] || { echo "hello $2"; echo "took 0.25 s"; } ;;
fail) [ "${OMPI_COMM_WORLD_RANK:-0}" != 0 ] || echo "fail: $2" >&2; exit 3 ;;
open) [ "${OMPI_COMM_WORLD_RANK:-0}" != 0 ] || printf 'no end' ;;
esac
"""

# (case, whether it must pass)
CASES = [
    ("$ lockstep hello you\n| hello you\n|~ took [0-9.]+ s\n", True),
    ("$ lockstep hello you\n| hello you\n|...\n", True),
    ("$ lockstep hello you\n|...\n|~ took .*\n", True),
    ("# said twice\n$ lockstep fail now\n! fail: now\n= 3\n$ lockstep hello again\n|...\n", True),
    ("$ cat > file <<'END'\n> a  b\n> END\n$ cat file\n| a  b\n", True),
    ('$ python -c "import sys; sys.exit(9)"\n= 9\n', True),
    ("$ lockstep hello you\n| hello me\n|...\n", False),
    ("$ lockstep hello you\n| hello you\n", False),
    ("$ lockstep hello you\n|...\n| hello you\n", False),
    ("$ lockstep hello you\n| hello you\n|~ took [0-9]+ s\n", False),
    ("$ lockstep hello you\n|...\n! a message\n", False),
    ("$ lockstep hello you\n|...\n= 1\n", False),
    ("$ lockstep fail now\n! fail: now\n", False),
    ("$ lockstep fail now\n= 3\n", False),
    ("$ lockstep open\n| no end\n", False),
    ("$ true\n$ false\n", False),
    ("| a line without a command\n", False),
    ("", False),
]


def main():
    mpiexec = sys.argv[1]
    runner = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run_case.py")
    wrong = 0
    with tempfile.TemporaryDirectory() as directory:
        program, case = os.path.join(directory, "program"), os.path.join(directory, "case")
        with open(program, "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        os.chmod(program, 0o755)
        for text, must_pass in CASES:
            with open(case, "w", encoding="utf-8") as file:
                file.write(text)
            for ranks in ("0", "3"):
                done = subprocess.run(
                    [sys.executable, runner, case, "--lockstep", program, "--ranks", ranks, "--mpiexec", mpiexec],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if (done.returncode == 0) != must_pass:
                    wrong += 1
                    print(f"on {ranks} ranks must {'pass' if must_pass else 'fail'}:\n{text}\n{done.stdout}{done.stderr}")
    print(f"{2 * len(CASES)} runs, {wrong} wrong")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
