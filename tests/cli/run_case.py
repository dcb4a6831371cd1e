"""Runs one command-line case and compares stdout, stderr and the exit code of every command with the case file.

    run_case.py CASE --lockstep PROGRAM --ranks N [--mpiexec MPIEXEC] [--python PYTHON]

The commands of a case run one after the other in one empty directory. N = 0 runs lockstep as a plain process, N > 0
runs it on N ranks; the expectation is the same. tests/README.md describes the case files.
"""
import argparse
import dataclasses
import os
import re
import subprocess
import sys
import tempfile

TIMEOUT_SECONDS = 120
ANYTHING = "..."

# What mpirun itself says on stderr when the ranks leave with a code other than 0, between two rules of dashes.
RULE = "-" * 74
MPIRUN_REMARK = re.compile(
    r"Primary job +terminated normally|(mpirun|mpiexec) detected that one or more processes exited with non-zero"
)


class CaseError(Exception):
    """The case file itself is wrong."""


@dataclasses.dataclass
class Step:
    """A command and what is expected of it; the lines are (kind, text), kind one of literal, regex, anything."""

    line_number: int
    command: str
    stdout: list = dataclasses.field(default_factory=list)
    stderr: list = dataclasses.field(default_factory=list)
    exit_code: int = 0


def parse_case(path):
    steps = []
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    for number, line in enumerate(lines, 1):
        mark, text = line[:1], line[1:]
        if not line.strip() or mark in "#@":
            continue
        if mark == "$":
            steps.append(Step(number, text.strip()))
            continue
        if mark not in ">|!=" or not steps:
            raise CaseError(f"{path}:{number}: expected a line that begins with $ > | ! = # or @, after a command: {line}")
        if mark == ">":
            steps[-1].command += "\n" + text.removeprefix(" ")
        elif mark == "=":
            steps[-1].exit_code = int(text)
        else:
            expected = steps[-1].stdout if mark == "|" else steps[-1].stderr
            if text == ANYTHING:
                expected.append(("anything", ""))
            elif text.startswith("~"):
                expected.append(("regex", text[1:].removeprefix(" ")))
            else:
                expected.append(("literal", text.removeprefix(" ")))
    if not steps:
        raise CaseError(f"{path}: no command in it")
    return steps


def matches(expected, lines):
    """Whether all lines match all expectations in order; 'anything' stands for any number of lines."""
    if not expected:
        return not lines
    kind, text = expected[0]
    if kind == "anything":
        return any(matches(expected[1:], lines[skip:]) for skip in range(len(lines) + 1))
    if not lines:
        return False
    same = lines[0] == text if kind == "literal" else re.fullmatch(text, lines[0]) is not None
    return same and matches(expected[1:], lines[1:])


def without_mpirun_remarks(text):
    lines, kept = text.split("\n"), []
    at = 0
    while at < len(lines):
        if lines[at] == RULE and at + 1 < len(lines) and MPIRUN_REMARK.match(lines[at + 1]):
            end = next((i for i in range(at + 1, len(lines)) if lines[i] == RULE), None)
            if end is not None:
                at = end + 1
                continue
        kept.append(lines[at])
        at += 1
    return "\n".join(kept)


def as_lines(text):
    """The lines of an output; a last line without its newline is marked, for it is a defect."""
    if not text:
        return []
    return text[:-1].split("\n") if text.endswith("\n") else (text + " (no newline)").split("\n")


def shell_functions(arguments):
    """What the words lockstep and python mean in a case."""
    launcher = f"'{arguments.mpiexec}' -n {arguments.ranks} " if arguments.ranks else ""
    return (
        f"lockstep() {{ {launcher}'{os.path.abspath(arguments.lockstep)}' \"$@\"; }}\n"
        f"python() {{ '{arguments.python}' \"$@\"; }}\n"
    )


def run_step(step, functions, directory, environment):
    """Runs the command; returns the complaints, an empty list if all is as expected."""
    try:
        done = subprocess.run(
            ["bash", "-c", functions + step.command],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return [f"  no end after {TIMEOUT_SECONDS} s"]
    complaints = []
    outputs = (("|", step.stdout, done.stdout), ("!", step.stderr, without_mpirun_remarks(done.stderr)))
    for mark, expected, text in outputs:
        lines = as_lines(text)
        if not matches(expected, lines):
            name = "stdout" if mark == "|" else "stderr"
            prefix = {"literal": mark + " ", "regex": mark + "~ ", "anything": mark + ANYTHING}
            complaints.append(f"  {name} expected:")
            complaints += ["    " + prefix[kind] + wanted for kind, wanted in expected] or ["    (nothing)"]
            complaints.append(f"  {name} found:")
            complaints += [f"    {mark} {line}" for line in lines] or ["    (nothing)"]
    if done.returncode != step.exit_code:
        complaints.append(f"  exit code expected: {step.exit_code}, found: {done.returncode}")
        if not complaints[:-1]:
            complaints += [f"    ! {line}" for line in as_lines(done.stderr)]
    return complaints


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case")
    parser.add_argument("--lockstep", required=True)
    parser.add_argument("--ranks", type=int, required=True)
    parser.add_argument("--mpiexec", default="mpirun")
    parser.add_argument("--python", default=sys.executable)
    arguments = parser.parse_args()
    try:
        steps = parse_case(arguments.case)
    except (CaseError, ValueError, OSError) as error:
        sys.exit(f"run_case.py: {error}")
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environment.update(LC_ALL="C.UTF-8", TERM="dumb")
    with tempfile.TemporaryDirectory(prefix="lockstep-case-") as directory:
        for step in steps:
            complaints = run_step(step, shell_functions(arguments), directory, environment)
            if complaints:
                where = f"on {arguments.ranks} ranks" if arguments.ranks else "as a plain process"
                print(f"{arguments.case}:{step.line_number}: lockstep {where}")
                print(f"  $ {step.command}")
                print("\n".join(complaints))
                # Later commands build on this one.
                sys.exit(1)


if __name__ == "__main__":
    main()
