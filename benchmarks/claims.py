"""What the paper claims, what the stored study measured, and whether it holds: python -m benchmarks.claims.

Tables of README.md and docs/results/acdc-small/README.md, from the packed runs beside the latter.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from scipy import stats

from rwseg.core.files import write_text
from rwseg.report.baselines import baseline_folder
from rwseg.report.comparison.compare import compare
from rwseg.report.comparison.comparison import Comparison, Run
from rwseg.report.comparison.convergence import (
    convergence_epoch,
    lost_classes,
    oscillation,
    validation_dice,
)
from rwseg.report.comparison.over_seeds import FEWEST
from rwseg.report.comparison.packed_runs import read_packed
from rwseg.report.comparison.samples import MEAN
from rwseg.report.comparison.summary import pair_of
from rwseg.statistics import binomial_interval, failure_test

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "results" / "acdc-small" / "README.md")

MARGIN = 0.01
"""Mean Dice by which a loss may be worse and still counts as similar."""

FEW = 0.1
"""Share of collapsed runs that the interval must exclude where none is claimed."""

LEVEL = 0.05

RRW, BOUNDARY, RECTIFIED = "rrw", "rw_boundary", "rw_boundary, rectified"
YES, NO, UNKNOWN = "yes", "no", "cannot be told"


class Claim(NamedTuple):
    """A row of the table."""

    claim: str
    measured: str
    holds: str


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, or write them into the documents that have them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="replace the tables in the documents instead")
    found = tables()
    if parser.parse_args(arguments).write:
        for path in DOCUMENTS:
            write_text(path, filled(path.read_text(encoding="utf-8"), found))
    else:
        print("\n\n".join(found.values()))


def tables() -> dict[str, str]:
    """The tables by the name that their place in a document has."""
    folder = baseline_folder("acdc-small")
    comparison = compare(read_packed(folder), allowed=["schedule.learning_rate"])
    rates = compare(read_packed(folder / "learning-rates"), compared=["schedule.learning_rate"])
    return {"rates": learning_rates(rates), "methods": methods(comparison), "claims": claims(comparison)}


def filled(document: str, found: Mapping[str, str], module: str = "benchmarks.claims") -> str:
    """The document with each table between the marks of its name, and of the module that makes it."""
    for name, table in found.items():
        first, last = f"<!-- python -m {module}: {name} -->", f"<!-- {name} end -->"
        before, mark, rest = document.partition(first)
        if mark:
            document = f"{before}{first}\n{table}\n{last}{rest.partition(last)[2]}"
    return document


def learning_rates(comparison: Comparison) -> str:
    """Final Dice of every seed at every learning rate, and the classes that it lost."""
    rows: dict[str, dict[float, str]] = {}
    for method in comparison.methods:
        rate = float(method.runs[0].settings["schedule.learning_rate"])
        values = _final(comparison, method.name)
        lost = {seed for name, seed in lost_classes(comparison.per_run) if name == method.name}
        each = [f"{value:.3f}{' (lost a class)' if seed in lost else ''}" for seed, value in values.items()]
        name = method.name.partition(", schedule.learning_rate")[0]
        rows.setdefault(name, {})[rate] = f"{', '.join(each)}: {values.mean():.3f}"
    columns = sorted({rate for row in rows.values() for rate in row})
    best = {name: max(row, key=lambda rate: row[rate].rpartition(" ")[2]) for name, row in rows.items()}
    lines = [
        [name, *(f"**{row[rate]}**" if rate == best[name] else row.get(rate, "") for rate in columns)]
        for name, row in sorted(rows.items())
    ]
    return markdown(["loss", *(f"{rate:g}: seeds, mean" for rate in columns)], lines)


def methods(comparison: Comparison) -> str:
    """A row per method: learning rate, runs, final Dice over runs, collapses, convergence, time."""
    lines = []
    for row in comparison.convergence.to_dict("records"):
        runs = next(method.runs for method in comparison.methods if method.name == row["method"])
        interval = f"[{row['low']:.0%}, {row['high']:.0%}]"
        lines.append(
            [
                row["method"],
                f"{float(runs[0].settings['schedule.learning_rate']):g}",
                f"{row['dice']:.3f} ± {row['std']:.3f}",
                f"{_final(comparison, row['method']).median():.3f}",
                f"{row['collapsed']} of {row['runs']} {interval}",
                f"{row['epoch']:.1f}",
                f"{row['oscillation']:.4f}",
            ]
        )
    columns = [
        "method",
        "learning rate",
        "final Dice",
        "median",
        "runs that lost a class",
        "epoch",
        "oscillation",
    ]
    return markdown(columns, lines)


def claims(comparison: Comparison) -> str:
    """The table of claims; those whose methods the study has no runs of are left out."""
    there = {method.name for method in comparison.methods}
    rows = [row for needed, row in _claims() if there.issuperset(needed)]
    return markdown(["the paper says", "measured", "holds here"], [list(row(comparison)) for row in rows])


def _claims() -> Iterator[tuple[Sequence[str], Callable[[Comparison], Claim]]]:
    """The methods that each claim is about, and what says whether it holds."""
    equal = [f"{BOUNDARY} + {partner}, equal" for partner in ("ce", "dice")]
    gradual = [f"{BOUNDARY} + {partner}, gradual" for partner in ("ce", "dice")]
    yield [RRW], _never_collapses
    yield [RRW, BOUNDARY], _boundary_collapses
    claim = "RRW reaches a higher Dice than the boundary map (4.3)"
    yield [RRW, BOUNDARY], partial(_ahead, claim=claim, better=RRW, worse=BOUNDARY)
    claim = "Rectifying the boundary map makes it stable (3.3)"
    yield [BOUNDARY, RECTIFIED], partial(_cured, claim=claim, names=[RECTIFIED])
    claim = "A second loss makes the boundary map converge (4.4), over four strategies"
    yield [BOUNDARY, *equal, *gradual], partial(_cured, claim=claim, names=[*equal, *gradual])
    for better, worse in zip(gradual, equal, strict=True):
        claim = f"Gradual is slightly better than equal (4.4): {better}"
        yield [better, worse], partial(_ahead, claim=claim, better=better, worse=worse)
    for other in (f"{RRW} + {name}, {mode}" for name in ("ce", "dice") for mode in ("equal", "gradual")):
        claim = f"RRW does not depend on the strategy (4.4): {other}"
        yield [RRW, other], partial(_alike, claim=claim, name=RRW, other=other)
    for other in ("dice", "focal", "wce_rrw", "ce"):
        claim = (
            f"RRW is similar or better (4.1{'' if other != 'ce' else '; not compared there'}): than {other}"
        )
        yield [RRW, other], partial(_alike, claim=claim, name=RRW, other=other, only_worse=True)
    claim = f"RRW oscillates less (4.4): than {BOUNDARY}"
    yield [RRW, BOUNDARY], partial(_less, claim=claim, other=BOUNDARY, measure=oscillation, digits=4)
    for other in (BOUNDARY, "dice", "wce_rrw"):
        claim = f"RRW converges earlier (4.1, 4.4): than {other}"
        yield [RRW, other], partial(_less, claim=claim, other=other, measure=convergence_epoch, digits=1)


def _never_collapses(found: Comparison) -> Claim:
    """None of the runs, and so many of them that a share of one in ten would have shown."""
    lost, runs = _collapses(found, [RRW])
    low, high = binomial_interval(lost, runs)
    holds = NO if lost else YES if high < FEW else UNKNOWN
    return Claim("All runs with RRW converge (4.3)", _share(lost, runs, low, high), holds)


def _boundary_collapses(found: Comparison) -> Claim:
    (lost, runs), (lost_rrw, runs_rrw) = _collapses(found, [BOUNDARY]), _collapses(found, [RRW])
    p = failure_test(lost, runs, lost_rrw, runs_rrw)
    measured = f"{_share(lost, runs, *binomial_interval(lost, runs))}; against RRW p = {p:.2g}"
    claim = "A part of the runs with the boundary map ends in a poor minimum (4.3)"
    return Claim(claim, measured, NO if not lost else YES if p < LEVEL else UNKNOWN)


def _cured(found: Comparison, claim: str, names: Sequence[str]) -> Claim:
    """Whether runs of `names` lose no class where those with the boundary map alone do."""
    (lost, runs), (before, of) = _collapses(found, names), _collapses(found, [BOUNDARY])
    p = failure_test(lost, runs, before, of)
    measured = f"{_share(lost, runs, *binomial_interval(lost, runs))}, {before} of {of} without: p = {p:.2g}"
    holds = UNKNOWN if p >= LEVEL else NO if lost / runs > before / of else YES if lost == 0 else "in part"
    return Claim(claim, measured, holds)


def _ahead(found: Comparison, claim: str, better: str, worse: str) -> Claim:
    row = pair_of(found, better, worse)
    holds = YES if row["low"] > 0 else NO if row["high"] < 0 else UNKNOWN
    return Claim(claim, _difference(row), holds if row["seeds"] >= FEWEST else UNKNOWN)


def _alike(found: Comparison, claim: str, name: str, other: str, only_worse: bool = False) -> Claim:
    """Whether the interval of `name` - `other` lies within the margin, or above its lower end."""
    row = pair_of(found, name, other)
    is_worse = row["high"] < -MARGIN
    differs = is_worse or (row["low"] > MARGIN and not only_worse)
    within = row["low"] > -MARGIN and (only_worse or row["high"] < MARGIN)
    holds = YES if within else NO if differs else UNKNOWN
    return Claim(claim, _difference(row), holds if row["seeds"] >= FEWEST else UNKNOWN)


def _less(found: Comparison, claim: str, other: str, measure: Callable[..., float], digits: int) -> Claim:
    """Whether a number of RRW's curve is smaller than another's: Student's interval over pairs of a seed."""
    pairs = pd.DataFrame({name: _measured(found, name, measure) for name in (RRW, other)}).dropna()
    low, high = stats.ttest_rel(pairs[RRW], pairs[other]).confidence_interval()
    means = f"{pairs[RRW].mean():.{digits}f} against {pairs[other].mean():.{digits}f}"
    measured = f"{means}, difference [{low:.{digits}f}, {high:.{digits}f}] over {len(pairs)} seeds"
    holds = YES if high < 0 else NO if low > 0 else UNKNOWN
    return Claim(claim, measured, holds if len(pairs) >= FEWEST else UNKNOWN)


def _share(lost: int, runs: int, low: float, high: float) -> str:
    return f"{lost} of {runs} runs lost a class [{low:.0%}, {high:.0%}]"


def _collapses(found: Comparison, names: Sequence[str]) -> tuple[int, int]:
    """How many runs of the methods lost a class, and of how many."""
    rows = found.convergence[found.convergence["method"].isin(names)]
    return int(rows["collapsed"].sum()), int(rows["runs"].sum())


def _measured(found: Comparison, name: str, measure: Callable[..., float]) -> pd.Series:
    return pd.Series({run.seed: measure(*validation_dice(run)) for run in _runs(found, name)})


def _runs(found: Comparison, name: str) -> tuple[Run, ...]:
    return next(method.runs for method in found.methods if method.name == name)


def _final(found: Comparison, name: str) -> pd.Series:
    """Mean Dice over classes of each run of a method, by its seed."""
    table = found.per_run
    own = table[(table["method"] == name) & (table["class_name"] == MEAN) & (table["metric"] == "dice")]
    return own.set_index("seed")["value"].sort_index()


def _difference(row: pd.Series) -> str:
    size = f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
    return f"{size} Dice over {int(row['seeds'])} seeds and {int(row['subjects'])} patients"


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of text."""
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
