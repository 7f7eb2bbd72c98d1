"""The tables of a report as text: the paper's Tables 2 to 5, tests, convergence, cost, settings."""

from collections.abc import Callable, Iterator, Mapping
from math import isinf

from rwseg.core.progress import duration
from rwseg.metrics.terminal_table import POLICY
from rwseg.report.calibration_table import calibration
from rwseg.report.comparison.classes import shown_classes
from rwseg.report.comparison.comparison import Comparison
from rwseg.report.comparison.convergence import COLLAPSED_BELOW, THRESHOLD_SHARE
from rwseg.report.comparison.guard import count_of
from rwseg.report.comparison.samples import COUNTS, MEAN
from rwseg.report.markup import Cell, TextTable, cell, piece
from rwseg.report.printed import (
    DIGITS,
    NAMES,
    Row,
    count,
    decimal,
    interval,
    mean_std,
    number,
    p_cell,
    signed,
)
from rwseg.report.scores import keyed, scores


def text_tables(comparison: Comparison) -> list[TextTable]:
    """Every table of the report, the main one first; those about which there are no numbers are left out."""
    return list(_tables(comparison))


def _tables(comparison: Comparison) -> Iterator[TextTable]:
    yield results(comparison, "hausdorff", "results")
    yield results(comparison, "hausdorff95", "results_hd95")
    if len(comparison.over_seeds):
        yield over_seeds(comparison)
    if len(comparison.tests):
        yield differences(comparison)
    if len(comparison.phases):
        yield phases(comparison)
    yield convergence(comparison)
    if len(comparison.calibration):
        yield calibration(comparison)
    yield cost(comparison)
    if len(comparison.settings):
        yield settings(comparison)


def results(comparison: Comparison, distance: str, name: str) -> TextTable:
    """Rows methods, columns classes: `Dice, HD` as mean ± std over cases, stars, best in bold; counts."""
    found, summary, classes = (
        scores(comparison, distance),
        keyed(comparison.summary),
        shown_classes(comparison),
    )
    rows = []
    for method in comparison.methods:
        cells: list[Cell] = [cell(method.name)]
        for class_name in classes:
            own = [found[method.name, class_name, metric] for metric in ("dice", distance)]
            cells.append(tuple(piece(f"{one.text}{one.star}", one.mean, one.best) for one in own))
        total = summary[(method.name, MEAN, "dice")]
        rows.append((*cells, *(count(total[name]) for name in (*COUNTS, "runs"))))
    caption = f"{results_caption(comparison, distance)} {counts_text(comparison)}"
    return TextTable(name, caption, ("method", *classes, *COUNTS, "runs"), tuple(rows))


def results_caption(comparison: Comparison, distance: str) -> str:
    """What the tables of results hold, without missed and spurious structures."""
    over_classes = " Mean: that of the classes' means." if len(comparison.classes) > 1 else ""
    return (
        f"Dice, {metric_name(comparison, distance)} as mean ± std over "
        f"{count_of(_cases(comparison), 'case')}, each averaged over the runs of its method; best in bold."
        f"{over_classes}{_star_text(comparison)}"
    )


def metric_name(comparison: Comparison, metric: str) -> str:
    """A metric with its unit, as headings and axes name it: `Dice`, `HD mm`, `HD95 px`."""
    return NAMES[metric] if metric == "dice" else f"{NAMES[metric]} {comparison.unit}"


def counts_text(comparison: Comparison) -> str:
    """What missed and spurious structures are, and the policy on their distances."""
    return (
        "Missed: structures that the reference has and the prediction lacks; spurious: the reverse; over all "
        f"runs; {POLICY[comparison.missed]}."
    )


def totals_text(comparison: Comparison) -> str:
    """How many structures are missed and spurious over all runs, and the policy on their distances."""
    summary = comparison.summary
    every = summary[(summary["class_name"] == MEAN) & (summary["metric"] == "dice")]
    numbers = " and ".join(f"{every[name].sum()} {name}" for name in COUNTS)
    return f"Structures over all runs: {numbers}; {POLICY[comparison.missed]}."


def differences(comparison: Comparison) -> TextTable:
    """Differences to the reference with intervals and p-values; those by subject where they differ."""
    tests = comparison.tests
    clustered = bool((tests["subjects"] < tests["pairs"]).any())
    shown = [name for name in _DIFFERENCES if clustered or name not in _BY_SUBJECT]
    named = tests.assign(name=[metric_name(comparison, metric) for metric in tests["metric"]])
    rows = [tuple(_DIFFERENCES[name](row) for name in shown) for row in named.to_dict("records")]
    by_subject = (
        "p by subject, as the interval: with the cases of a subject taken together; " if clustered else ""
    )
    caption = (
        f"Mean difference to {comparison.reference} on the same cases, with its bootstrap interval; p: "
        f"paired permutation test over cases (10 000 permutations, as in the paper); {by_subject}Holm p: "
        f"{'that ' if clustered else ''}corrected over all methods and classes of a metric; p over runs: "
        f"permutation test of the runs' means, where there are enough runs. {totals_text(comparison)}"
    )
    return TextTable("tests", caption, tuple(shown), tuple(rows), left=("class", "metric"))


def over_seeds(comparison: Comparison) -> TextTable:
    """Every pair of methods by the mean over classes: difference, interval, p, probability, seeds needed."""
    table = comparison.over_seeds
    shown = table[table["class_name"] == MEAN]
    rows = [
        (
            cell(row["method"]),
            cell(row["other"]),
            cell(metric_name(comparison, row["metric"])),
            cell(signed(row["difference"], DIGITS[row["metric"]]), row["difference"]),
            cell(interval(row, DIGITS[row["metric"]]), row["low"]),
            count(row["seeds"]),
            count(row["subjects"]),
            count(row["cases"]),
            p_cell(row["p"]),
            p_cell(row["p_holm"]),
            decimal(row["probability"], 2),
            cell("none would") if isinf(row["needed"]) else decimal(row["needed"], 0),
        )
        for row in shown.to_dict("records")
    ]
    caption = (
        "Mean over classes of method minus other, with the 95 % interval over seeds and subjects (two-way "
        "random effects; runs of equal seed paired, the cases of a subject together); p, and Holm's "
        "correction over all pairs; probability that method has the higher value for another seed and "
        "another subject; seeds that would tell a difference of this size with 80 % power on these subjects."
    )
    columns = (
        "method", "other", "metric", "difference", "95 % interval", "seeds", "subjects", "cases", "p",
        "Holm p", "probability", "seeds needed",
    )  # fmt: skip
    return TextTable("over_seeds", caption, columns, tuple(rows), left=("other", "metric"))


_DIFFERENCES: Mapping[str, Callable[[Row], Cell]] = {
    "method": lambda row: cell(row["method"]),
    "class": lambda row: cell(row["class_name"]),
    "metric": lambda row: cell(row["name"]),
    "difference": lambda row: cell(
        f"{signed(row['difference'], DIGITS[row['metric']])}{row['stars']}", row["difference"]
    ),
    "95 % interval": lambda row: cell(interval(row, DIGITS[row["metric"]]), row["low"]),
    "cases": lambda row: count(row["pairs"]),
    "subjects": lambda row: count(row["subjects"]),
    "p": lambda row: p_cell(row["p"]),
    "p by subject": lambda row: p_cell(row["p_subjects"]),
    "Holm p": lambda row: p_cell(row["p_holm"]),
    "p over runs": lambda row: p_cell(row["p_runs"]),
}
_BY_SUBJECT = ("subjects", "p by subject")


def phases(comparison: Comparison) -> TextTable:
    """The shape of the paper's Table 5: per class, Dice and Hausdorff distance of each phase."""
    means = comparison.phases.set_index(["method", "class_name", "metric", "phase"])["mean"]
    order = list(comparison.phases["phase"].unique())
    columns = [(name, metric) for name in comparison.classes for metric in ("dice", "hausdorff")]
    rows = []
    for method in comparison.methods:
        cells = [cell(method.name)]
        for key in columns:
            values = [means.get((method.name, *key, phase), float("nan")) for phase in order]
            cells.append(cell("/".join(number(value, DIGITS[key[1]]) for value in values), values[0]))
        rows.append(tuple(cells))
    headings = tuple(f"{name} {metric_name(comparison, metric)}" for name, metric in columns)
    caption = f"Mean over the cases of each phase ({'/'.join(order)}), each averaged over runs. "
    caption += totals_text(comparison)
    return TextTable("phases", caption, ("method", *headings), tuple(rows))


def convergence(comparison: Comparison) -> TextTable:
    """Collapsed runs with interval and test, slow ones, epoch of convergence, oscillation."""
    limit = (
        f"{THRESHOLD_SHARE:g} of their method's median"
        if comparison.threshold is None
        else f"{comparison.threshold:g}"
    )
    rows = []
    for row in comparison.convergence.to_dict("records"):
        cells = (
            cell(row["method"]),
            cell(mean_std(row, "dice", "dice"), row["dice"]),
            cell(f"{row['collapsed']} of {row['runs']}", row["collapsed"]),
            cell(f"[{row['low']:.2f}, {row['high']:.2f}]", row["low"]),
            p_cell(row["p"]),
            p_cell(row["p_holm"]),
            count(row["slow"]),
            decimal(row["epoch"], 1),
            decimal(row["oscillation"], 4),
        )
        rows.append(cells)
    caption = (
        "Final Dice: mean ± std (n - 1) over the runs of a method. "
        f"Collapsed: runs in which a foreground class ends below a mean Dice of {COLLAPSED_BELOW:g}, with "
        f"the exact 95 % interval of their share and Boschloo's two-sided test against "
        f"{comparison.reference}. Slow: runs that lost no class, with a final Dice below {limit}. Epoch: "
        "median number of epochs after which the validation Dice stayed within 0.02 of its final value, over "
        "the other runs. Oscillation: mean absolute change of the validation Dice from one to the next "
        "validation in the second half of training. "
        f"{totals_text(comparison)}"
    )
    columns = (
        "method", "final Dice", "collapsed", "95 % interval", "p", "Holm p", "slow", "epoch", "oscillation",
    )  # fmt: skip
    return TextTable("convergence", caption, columns, tuple(rows))


def cost(comparison: Comparison) -> TextTable:
    """Time and device."""
    rows = [
        (
            cell(row["method"]),
            count(row["runs"]),
            cell(duration(row["seconds"]), row["seconds"]),
            decimal(row["seconds_per_epoch"], 1),
            cell(row["device"]),
        )
        for row in comparison.cost.to_dict("records")
    ]
    caption = "Mean time of a run (over all its attempts) and of an epoch, validation included."
    columns = ("method", "runs", "time of a run", "seconds per epoch", "device")
    return TextTable("cost", caption, columns, tuple(rows), left=("device",))


def settings(comparison: Comparison) -> TextTable:
    """What the methods differ in."""
    rows = tuple(tuple(cell(str(text)) for text in row) for row in comparison.settings.to_numpy())
    columns = tuple(map(str, comparison.settings.columns))
    return TextTable("settings", "All settings in which the methods differ.", columns, rows, left=columns)


def _cases(comparison: Comparison) -> int:
    return int(comparison.summary["cases"].max())


def _star_text(comparison: Comparison) -> str:
    if comparison.tests.empty:
        return ""
    return f" *: differs from {comparison.reference} (paired permutation test, p < 0.05, not corrected)."
