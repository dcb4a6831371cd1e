"""The report of a scaling study: tables and statements in Markdown, and one picture for each series."""
import os
import statistics

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend is chosen first)
from matplotlib.ticker import NullFormatter, ScalarFormatter  # noqa: E402

import scaling_fit  # noqa: E402
from scaling_points import PARTS, count, digest_errors, layers, make_series, refusals  # noqa: E402

ENOUGH = 1.05  # times within 5 % count as equal
MANY = 16  # times the ranks: logarithmic scales
COLOURS = {"compute": "#4477aa", "communication": "#ee7733", "waiting": "#bbbbbb", "io": "#228833"}
LABELS = {"compute": "compute", "communication": "communication", "waiting": "waiting for others", "io": "reading and writing"}
INTRODUCTION = """\
Times are those of the steps of training, without reading the data before them. Speed-up and efficiency are against the fewest
ranks of a series; of a weak one, whose work grows with the ranks, they compare rows a second."""


def seconds_text(seconds):
    if seconds == 0:
        return "-"
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "us")):
        if seconds * factor >= 0.9995:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def is_crowded(level):
    return any(level.values("oversubscribed"))


# ---- numbers ----

def ratios(key, base, level):
    """(least, median, most) speed-up over the fewest ranks: of the median there to each run here. What a weak series speeds up
    is the rows of a second."""
    work = level.ranks / base.ranks if key.scaling == "weak" else 1
    times = sorted(level.values("seconds_of_steps"))
    return tuple(work * base.time / time for time in (times[-1], level.time, times[0]))


def efficiencies(key, base, level):
    return tuple(ratio * base.ranks / level.ranks for ratio in ratios(key, base, level))


def stops_helping(key, levels):
    """(ranks, whether more were tried): the fewest of these without which nothing is gained."""
    gains = [ratios(key, levels[0], level)[1] for level in levels]
    fewest = next(level for level, gain in zip(levels, gains) if gain * ENOUGH >= max(gains))
    return fewest.ranks, fewest is not levels[-1]


def sample_at(key, levels, ranks):
    """What the fit would say of other ranks of a strong series."""
    run = levels[0].runs[0]
    return scaling_fit.sample_of(key.hidden, ranks, run["shards"], key.batch_size, run["message_bytes"])


def fit_of(series):
    """The fit to the medians of all series of one machine, and its samples."""
    samples = []
    for levels in series.values():
        for level in levels:
            run = level.runs[0]
            if not is_crowded(level):
                samples.append(scaling_fit.sample_of(run["hidden"], level.ranks, run["shards"], run["batch_size"],
                                                     run["message_bytes"], level.step))
    return (scaling_fit.fit(samples) if samples else None), samples


# ---- text ----

def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def spread_text(values, text):
    least, most = text(min(values)), text(max(values))
    median = text(statistics.median(values))
    return median if least == most else f"{median} ({least} to {most})"


def say_refused(refused):
    return [line for ranks, message in sorted(refused.items()) for line in (f"{count(ranks, 'rank')}: refused: {message}.", "")]


def describe(key, levels, refused, picture):
    lines = [f"### {key.title()}", ""]
    run = levels[0].runs[0]
    shards = sorted({level.runs[0]["shards"] for level in levels})
    options = f", options `{key.options}`" if key.options else ""
    n_shards = " to ".join(map(str, dict.fromkeys((shards[0], shards[-1]))))
    n_runs = max(len(level.runs) for level in levels)
    lines += [f"{count(key.epochs, 'epoch')} of {count(run['steps'] // key.epochs, 'step')}, {n_shards} shards, messages of "
              f"{run['message_bytes']} bytes{options}. Medians of {count(n_runs, 'run')}, in brackets the least and the most; "
              "parts of the time are means over ranks and runs.", ""]
    rows = []
    for level in levels:
        each = level.runs[0]["steps"]
        rows.append([str(level.ranks) + (" *" if is_crowded(level) else ""),
                     spread_text([time / each for time in level.values("seconds_of_steps")], seconds_text),
                     f"{ratios(key, levels[0], level)[1]:.2f}", f"{100 * efficiencies(key, levels[0], level)[1]:.0f} %"]
                    + [seconds_text(statistics.mean(level.values(part + "_mean"))) for part in PARTS])
    lines += table(["ranks", "a step", "speed-up", "efficiency", "compute", "communication", "waiting", "I/O"], rows) + [""]
    if any(map(is_crowded, levels)):
        lines += ["\\* more ranks than cores: they take turns, which says nothing about scaling.", ""]
    lines += say_refused(refused)
    lines += [f"![{key.title()}]({picture})", ""]
    return lines


def say_stop(key, levels, fit):
    own = [level for level in levels if not is_crowded(level)]
    if len(own) < 2:
        text = "too few numbers of ranks were measured with a core for each"
    else:
        ranks, more_tried = stops_helping(key, own)
        measured = ", ".join(str(level.ranks) for level in own)
        text = (f"from {count(ranks, 'rank')} on, more do not help (measured: {measured})" if more_tried else
                f"all ranks that were measured help (measured: {measured})")
    if fit and key.scaling == "strong" and key.hidden in fit.compute:
        most = levels[0].runs[0]["shards"]
        steps = {2 ** i: fit.step(sample_at(key, levels, 2 ** i)) for i in range(most.bit_length())}
        best = next(ranks for ranks, step in steps.items() if step <= ENOUGH * min(steps.values()))
        text += f"; by the fit, {count(best, 'rank')} of the powers of two up to the {most} shards would be enough"
    return f"- {key.title()}: {text}."


def describe_fit(fit, samples):
    lines = ["### Fit", "", scaling_fit.TEXT, ""]
    if not fit:
        return lines + ["There are too few points for it: more ranks, batch sizes or networks are needed.", ""]
    rows = [[layers(network), seconds_text(seconds), seconds_text(fit.fixed[network]) if fit.fixed else "-"]
            for network, seconds in fit.compute.items()]
    lines += table(["network", "compute, a row", "fixed, a step"], rows) + [""]
    if any(sample.ranks > 1 for sample in samples):
        lines.append(f"Latency of a doubling: {seconds_text(fit.latency)}. " + (
            "Bandwidth: " + (f"{1e-9 / fit.seconds_per_byte:.3g} GB/s." if fit.seconds_per_byte > 0 else "too high to show.")
            if fit.has_bandwidth else "All messages are of one length, so it holds their time on the wire, too."))
    if not fit.fixed:
        lines.append("The points are too few to tell the fixed part from the rest, so it is left out.")
    lines += [f"{fit.n_samples} points, {fit.n_unknowns} unknowns.", ""]
    rows, worst = [], 0
    for sample in samples:
        told = fit.step(sample)
        residual = told / sample.step - 1
        worst = max(worst, abs(residual))
        rows.append([layers(sample.network), f"{sample.rows:g}", str(sample.ranks), seconds_text(sample.step),
                     seconds_text(told), f"{100 * residual:+.1f} %"])
    lines += table(["network", "rows of the busiest", "ranks", "measured", "fitted", "residual"], rows)
    return lines + ["", f"The greatest residual is {100 * worst:.1f} %.", ""]


def say_models(points, errors):
    lines = ["## The same model on any number of ranks", ""]
    if errors:
        return lines + ["**ERROR: not all runs of a series trained the same model, so their times do not compare:**", ""] + [
            f"- **{error}**" for error in errors] + [""]
    strong = {key: levels for key, levels in make_series(points).items() if key.scaling == "strong"}
    for key, levels in strong.items():
        digests = {run["digest"] for level in levels for run in level.runs if run["digest"]}
        n_runs = sum(len(level.runs) for level in levels)
        ranks = ", ".join(str(level.ranks) for level in levels)
        lines.append(f"- {key.title()}: all {n_runs} runs on {ranks} ranks trained the same model, bit for bit "
                     f"(SHA-256 of its file {digests.pop()}...)." if digests else
                     f"- {key.title()}: simulated without a model to compare.")
    if len(strong) < len(make_series(points)):
        lines.append("- In weak scaling the data grow with the ranks; the runs on one number of ranks trained the same model.")
    return lines + [""]


def picture_names(series):
    """{Series: a name of its own}"""
    names = {}
    for key in series:
        name, number = key.name(), 2
        while name + ".png" in names.values():
            name, number = f"{key.name()}-{number}", number + 1
        names[key] = name + ".png"
    return names


def section(title, series, refused, pictures, directory):
    """Tables, fit and statements of the series of one machine."""
    lines = [f"## {title}", ""]
    fit, samples = fit_of(series)
    for key, levels in series.items():
        if levels:
            lines += describe(key, levels, refused.get(key, {}), pictures[key])
            draw(key, levels, fit, os.path.join(directory, pictures[key]))
        else:
            lines += [f"### {key.title()}", ""] + say_refused(refused[key])
    lines += ["### Where more ranks stop helping", ""]
    lines += [say_stop(key, levels, fit) for key, levels in series.items() if levels] + [""]
    return lines + describe_fit(fit, samples)


def write_report(points, directory):
    """Writes report.md and the pictures into directory. Returns the errors that the report states."""
    errors = digest_errors(points)
    lines = ["# Scaling study", "", INTRODUCTION, ""]
    lines += say_models(points, errors)
    series, refused = make_series(points), refusals(points)
    pictures = picture_names(series)
    for simulated in (0, 1):
        for machine in dict.fromkeys(key.machine for key in series if key.simulated == simulated):
            here = {key: levels for key, levels in series.items() if (key.simulated, key.machine) == (simulated, machine)}
            title = f"Simulated, not measured: {machine}" if simulated else f"Measured on {machine}"
            lines += section(title, here, refused, pictures, directory)
    with open(os.path.join(directory, "report.md"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines).rstrip("\n") + "\n")
    return errors


# ---- pictures ----

def show_ranks(axes, ranks, is_log=False):
    """is_log: values over decades when the ranks are."""
    axes.set_xscale("log", base=2)
    if is_log and max(ranks) >= MANY * min(ranks):
        axes.set_yscale("log")
    else:
        axes.set_ylim(0)
    axes.set_xticks([n for n in ranks if all(n * 1.6 < m for m in ranks if m > n) or not n & (n - 1)])
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("ranks")
    axes.grid(alpha=0.3)


def draw_spread(axes, ranks, triples, **style):
    least, median, most = zip(*triples)
    # Their units have rounded them each by itself.
    errors = [[max(m - l, 0) for m, l in zip(median, least)], [max(h - m, 0) for m, h in zip(median, most)]]
    axes.errorbar(ranks, median, yerr=errors, marker="o", capsize=4, **style)


def draw_parts(axes, levels):
    """Stacked means of a run; a whisker from the least to the most of the ranks on each part, one beside the other. Over many
    ranks as shares, for absolute ones would vanish."""
    def mean(level, part, which):
        return statistics.mean(level.values(f"{part}_{which}"))

    sums = [sum(mean(level, part, "mean") for part in PARTS) for level in levels]
    if levels[-1].ranks >= MANY * levels[0].ranks:
        scales, unit = [100 / total if total else 0 for total in sums], "% of a run"
    else:
        scale, unit = (1, "s of a run") if max(sums) >= 1 else (1e3, "ms of a run")
        scales = [scale] * len(levels)
    bottoms, top = [0.0] * len(levels), 0
    for number, part in enumerate(PARTS):
        heights = [scale * mean(level, part, "mean") for scale, level in zip(scales, levels)]
        axes.bar(range(len(levels)), heights, 0.7, bottom=bottoms, color=COLOURS[part], label=LABELS[part])
        for place, level in enumerate(levels):
            if level.ranks > 1 and heights[place] > 0:
                x = place + 0.15 * (number - 1.5)
                axes.plot([x, x], [bottoms[place] + scales[place] * mean(level, part, which) for which in ("min", "max")],
                          color="black", lw=1.2, marker="_", ms=6)
        top = max([top] + [bottom + scale * mean(level, part, "max") for bottom, scale, level in zip(bottoms, scales, levels)])
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights)]
    axes.set_xticks(range(len(levels)), [str(level.ranks) for level in levels])
    axes.set_xlabel("ranks")
    axes.set_ylabel(unit)
    axes.set_ylim(0, 1.3 * top or 1)  # room for the legend
    axes.set_title("where the time goes: mean of the ranks, least to most", fontsize=10)
    axes.legend(fontsize=8, ncols=2, loc="upper center")
    axes.grid(alpha=0.3, axis="y")


def draw(key, levels, fit, path):
    figure, ((time, speed), (efficiency, parts)) = plt.subplots(2, 2, figsize=(11, 8), constrained_layout=True)
    ranks = [level.ranks for level in levels]
    base = levels[0]
    how = "simulated" if key.simulated else "measured"
    scale, unit = next((s, u) for s, u in ((1, "s"), (1e3, "ms"), (1e6, "us"), (1e9, "ns"))
                       if s * min(level.step for level in levels) >= 1 or u == "ns")
    draw_spread(time, ranks, [(scale * min(level.values("seconds_of_steps")) / base.runs[0]["steps"], scale * level.step,
                               scale * max(level.values("seconds_of_steps")) / base.runs[0]["steps"]) for level in levels],
                color=COLOURS["compute"], label="median, least to most of the runs")
    ideal = [scale * base.step * (base.ranks / n if key.scaling == "strong" else 1) for n in ranks]
    time.plot(ranks, ideal, color="black", ls="--", lw=1, label="ideal")
    if fit and key.hidden in fit.compute and key.scaling == "strong":
        time.plot(ranks, [scale * fit.step(sample_at(key, levels, n)) for n in ranks], color="#aa3377", ls=":", label="fit")
    time.set_title("time of a step", fontsize=10)
    time.set_ylabel(unit)
    draw_spread(speed, ranks, [ratios(key, base, level) for level in levels], color=COLOURS["compute"], label=how)
    speed.plot(ranks, [n / base.ranks for n in ranks], color="black", ls="--", lw=1, label="ideal")
    what = ", rows a second" if key.scaling == "weak" else ""
    speed.set_title(f"speed-up over {count(base.ranks, 'rank')}{what}", fontsize=10)
    draw_spread(efficiency, ranks, [[100 * value for value in efficiencies(key, base, level)] for level in levels],
                color=COLOURS["compute"], label=how)
    efficiency.axhline(100, color="black", ls="--", lw=1, label="ideal")
    efficiency.set_title("efficiency", fontsize=10)
    efficiency.set_ylabel("%")
    for axes in (time, speed, efficiency):
        crowded = [n for n, level in zip(ranks, levels) if is_crowded(level)]
        if crowded:
            axes.axvspan(min(crowded) / 1.1, max(crowded) * 1.1, color="#cc3311", alpha=0.1, label="more ranks than cores")
        show_ranks(axes, ranks, is_log=axes is not efficiency)
        axes.legend(fontsize=8)
    draw_parts(parts, levels)
    figure.suptitle(key.title(), fontsize=12)
    figure.savefig(path, dpi=80)
    plt.close(figure)
