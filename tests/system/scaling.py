#!/usr/bin/env python3
"""tools/scaling_study.py: scaling.py PATH_TO_lockstep

A tiny study on 1, 2 and 3 ranks: its points, report and pictures; stopped and gone on with, extended, and with a point whose
digest was changed. Then points that are made up from known latency, bandwidth and compute, which the fit must find again."""
import csv
import math
import os
import re
import struct
import subprocess
import sys

import common
from common import check

TOOLS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "tools")
sys.path.insert(0, TOOLS)
sys.dont_write_bytecode = True
import scaling_points  # noqa: E402

AXES = ["--hidden", "2,2", "", "--n-samples", "1500", "--batch-size", "8", "--epochs", "2", "--repetitions", "1"]


def study(directory, *arguments, code=0):
    done = subprocess.run([os.path.join(TOOLS, "scaling_study.py"), directory, *arguments], env=common.ENVIRONMENT, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=common.TIMEOUT)
    check(done.returncode == code, f"exit code {code} expected:", done)
    return done


def read(*names):
    with open(os.path.join(*names), encoding="utf-8") as file:
        return file.read()


def rows_of(directory, name="points.csv"):
    return list(csv.DictReader(read(directory, name).splitlines()))


def check_pictures(directory, names):
    for name in names:
        try:
            with open(os.path.join(directory, name), "rb") as file:
                picture = file.read()
        except OSError as error:
            check(False, error)
            continue
        width, height = struct.unpack(">II", picture[16:24])
        check(picture.startswith(b"\x89PNG") and picture.endswith(b"IEND\xaeB`\x82") and width >= 600 and height >= 400
              and len(picture) > 10000, f"{name}: no picture of that kind:", len(picture), width, height)


def check_study(lockstep, directory):
    own = ["--lockstep", lockstep, *AXES]
    study(directory, *own, "--ranks", "1", "2", "--no-report")
    first = read(directory, "points.csv")
    check(not os.path.exists(os.path.join(directory, "report.md")), "a report that was not asked for")

    # Killed while it wrote a line; then with one more number of ranks, and weak scaling, in which 2 samples a rank are refused.
    with open(os.path.join(directory, "points.csv"), "a", encoding="utf-8") as file:
        file.write("strong,0,some")
    done = study(directory, *own, "--ranks", "1", "2", "3")
    check(read(directory, "points.csv").startswith(first), "points that were there have changed")
    check(re.findall(r"^\[(\d+/\d+)\] strong.*ranks 3", done.stdout, re.MULTILINE) == ["1/2", "2/2"],
          "two more runs expected:", done)
    done = study(directory, *own, "--ranks", "1", "2", "3", "--scaling", "weak", "--batch-size", "2", "--options", "--shards 2")
    check(done.stdout.count(": refused: ") == 2, "refused runs:", done.stdout)
    done = study(directory, *own, "--ranks", "1", "2", "3", "--scaling", "weak", "--batch-size", "2", "--options", "--shards 2")
    check("[1/" not in done.stdout, "runs are done again:", done.stdout)

    rows = rows_of(directory)
    check(sorted((r["scaling"], r["hidden"], int(r["ranks"])) for r in rows) ==
          [(s, h, n) for s in ("strong", "weak") for h in ("", "2,2") for n in (1, 2, 3)], "rows:", rows)
    for row in rows:
        if row["refused"]:
            check(row["ranks"] == "3" and row["scaling"] == "weak" and row["digest"] == "", "refused:", row)
            continue
        steps = 2 * 188 if row["scaling"] == "strong" else 2 * 750
        check(int(row["steps"]) == steps and 0 < float(row["seconds_of_steps"]) < float(row["seconds"]), "times:", row)
        check(all(0 <= float(row[part + "_min"]) <= float(row[part + "_mean"]) <= float(row[part + "_max"])
                  for part in scaling_points.PARTS), "parts:", row)
        check(int(row["n_samples"]) == 1500 * (int(row["ranks"]) if row["scaling"] == "weak" else 1), "samples:", row)
    for hidden in ("", "2,2"):
        digests = {row["digest"] for row in rows if row["scaling"] == "strong" and row["hidden"] == hidden}
        check(len(digests) == 1 and re.fullmatch("[0-9a-f]{16}", *digests), "digests:", digests)
    report = read(directory, "report.md")
    check(report.count("on 1, 2, 3 ranks trained the same model") == 2 and "ERROR" not in report, "report:", report)
    check("3 ranks: refused: a batch of 6 samples is cut into 2 shards" in report, "refusals in the report:", report)
    check_pictures(directory, ("strong-2x2-n1500-b8.png", "strong-0-n1500-b8.png", "weak-2x2-n1500-b2.png"))
    check(sorted(n for n in os.listdir(directory) if not n.endswith(".png")) == ["data", "points.csv", "report.md"],
          "left behind:", os.listdir(directory))
    return rows


def check_doctored(directory, rows):
    """Another digest, in a simulated point as well."""
    other = dict(rows[0], simulated=1, machine="a cluster", ranks=64, digest="0123456789abcdef", oversubscribed=0, nodes=8)
    file = scaling_points.PointFile(os.path.join(directory, "points-simulated.csv"))
    file.append(other)
    done = study(directory, "--report", code=1)
    check("did not train the same model" in done.stderr and "0123456789abcdef on 64 ranks" in done.stderr, "not named:", done)
    report = read(directory, "report.md")
    check("**ERROR" in report and "trained the same model, bit for bit" not in report, "report:", report)
    os.remove(os.path.join(directory, "points-simulated.csv"))
    file = scaling_points.PointFile(os.path.join(directory, "points-simulated.csv"))
    file.append(dict(other, digest=rows[0]["digest"]))
    study(directory, "--report")
    report = read(directory, "report.md")
    check("## Simulated, not measured: a cluster" in report and "ERROR" not in report, "report:", report)
    with open(os.path.join(directory, "points-simulated.csv"), "a", encoding="utf-8") as more:
        more.write("strong,1,a cluster,many\n")
    done = study(directory, "--report", code=1)
    check("points-simulated.csv: line 3: " in done.stderr, "damaged line:", done)
    os.remove(os.path.join(directory, "points-simulated.csv"))
    for name, value in (("steps", 0), ("epochs", 0), ("seconds_of_steps", "nan"), ("io_max", -1), ("hidden", "../x"),
                        ("scaling", "both")):
        scaling_points.PointFile(os.path.join(directory, "points-wrong.csv")).append(dict(other, **{name: value}))
        done = study(directory, "--report", code=1)
        check(f"points-wrong.csv: line 2: {name}: '{value}' must be" in done.stderr, "wrong value:", done)
        os.remove(os.path.join(directory, "points-wrong.csv"))
    with open(os.path.join(directory, "points-wrong.csv"), "wb") as wrong:
        wrong.write(b"\xff\xfe\n")
    done = study(directory, "--report", code=1)
    check("points-wrong.csv: it is not a text file" in done.stderr, "not a text file:", done)
    os.remove(os.path.join(directory, "points-wrong.csv"))


def check_fit(directory):
    """Times of 2 us latency, 5 GB/s, and what two networks take."""
    os.makedirs(directory)
    file = scaling_points.PointFile(os.path.join(directory, "points.csv"))
    latency, bandwidth = 2e-6, 5e9
    for hidden, compute, fixed, message in (("2,2", 4e-9, 1e-6, 128), ("64,64", 200e-9, 3e-6, 40000)):
        for batch in (1024, 16384):
            for ranks in (1, 2, 4, 8, 16):
                step = batch / ranks * compute + fixed + math.log2(ranks) * (latency + message / bandwidth)
                parts = {f"{part}_{which}": 10 * step / 4 for part in scaling_points.PARTS for which in scaling_points.SPREAD}
                file.append(dict({name: 0 for name in scaling_points.COLUMNS}, scaling="strong", machine="made up",
                                 hidden=hidden, n_features=2, n_samples=10240, batch_size=batch, epochs=1, options="",
                                 ranks=ranks, nodes=1, shards=64, message_bytes=message, steps=10, seconds=20 * step,
                                 seconds_of_steps=10 * step, digest="ab", refused="", **parts))
    study(directory, "--report")
    report = read(directory, "report.md")
    for words in ("Latency of a doubling: 2 us. Bandwidth: 5 GB/s.", "| [2,2] | 4 ns | 1 us |", "| [64,64] | 200 ns | 3 us |",
                  "The greatest residual is 0.0 %."):
        check(words in report, f"'{words}' expected in:", report)
    # [2,2] at 1024: 5.1, 5.1, 6.0, ... us; at 16384 more ranks help.
    check("[2,2], 10240 samples x 2, batch 1024: from 1 rank on, more do not help (measured: 1, 2, 4, 8, 16); by the fit, "
          "1 rank " in report, "from which number of ranks:", report)
    check("[64,64], 10240 samples x 2, batch 16384: all ranks that were measured help" in report, "all help:", report)


def check_refusals(lockstep, directory):
    done = study(directory, "--report", code=1)
    check("there are no points" in done.stderr, "no points:", done)
    done = study(directory, "--lockstep", "nowhere/lockstep", code=1)
    check("nowhere/lockstep is missing" in done.stderr, "no program:", done)
    for option, value in (("--options", "'"), ("--launcher", "mpirun -n {cores}"), ("--launcher", ""), ("--points", "mine.csv"),
                          ("--points", "../points.csv")):
        done = study(directory, option, value, code=2)
        check(f"argument {option}: '{value}'" in done.stderr, "a wrong argument:", done)
    done = study(directory, "--lockstep", lockstep, "--launcher", "true", "--ranks", "1", "1", "--repetitions", "1",
                 "--no-report", code=1)
    check("[1/1]" in done.stderr and "no training was done" in done.stderr, "a launcher that starts nothing:", done)
    done = study(directory, "--lockstep", lockstep, "--ranks", "1", "--options", "--learning-rate 1e30 --activation relu",
                 "--n-samples", "100", "--repetitions", "1", "--no-report", code=1)
    check("FAILED: exit code 7: the loss" in done.stderr and "1 run failed" in done.stderr, "a run that fails:", done)


def main():
    lockstep = common.arguments(__doc__).lockstep
    directory = common.temporary_directory()
    rows = check_study(lockstep, os.path.join(directory, "study"))
    check_doctored(os.path.join(directory, "study"), rows)
    check_fit(os.path.join(directory, "made-up"))
    check_refusals(lockstep, os.path.join(directory, "none"))
    common.finish()


if __name__ == "__main__":
    main()
