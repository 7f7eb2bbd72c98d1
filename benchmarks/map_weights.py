"""Did weights of maps help? Tables of both experiments: python -m benchmarks.map_weights [--write] [RUNS].

RUNS are the run directories of experiment=label_noise or experiment=transfer; without any, the packed ones
in docs/results, whose tables `--write` puts into the documents.
"""

import argparse
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from benchmarks.claims import ROOT, filled, markdown
from rwseg.core.files import write_text
from rwseg.report.comparison.compare import compare
from rwseg.report.comparison.comparison import Comparison, Method
from rwseg.report.comparison.runs import find_runs
from rwseg.report.comparison.samples import MEAN
from rwseg.report.comparison.summary import pair_of

STUDIES = ("label-noise", "transfer")
RESULTS = ROOT / "docs" / "results"
DOCUMENTS = (ROOT / "docs" / "map-weights.md", *(RESULTS / study / "README.md" for study in STUDIES))

COMPARED = ("dataset.name", "callbacks")
ALLOWED = ("data", "split", "commit")
"""Arms have other training data; they are validated on the same cases, which the comparison checks."""

ARMS: Mapping[tuple[str, str], str] = {
    ("acdc", "default"): "clean labels",
    ("acdc_noisy", "default"): "noisy labels",
    ("acdc_noisy", "pixel_weights"): "noisy labels, no weight where annotators disagree",
    ("acdc_10", "default"): "10 patients",
    ("acdc_10_phantom", "default"): "10 patients and the phantom",
    ("acdc_10_phantom", "fading_source"): "10 patients and the phantom, which fades out",
}
"""Names of arms by the data set and the option of callbacks, in the order of the tables."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables, or write them into the documents that have them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="replace the tables in the documents instead")
    parser.add_argument("runs", nargs="*", type=Path, help="run directories; none: those in docs/results")
    asked = parser.parse_args(arguments)
    if asked.write:
        for path in DOCUMENTS:
            write_text(path, filled(path.read_text(encoding="utf-8"), stored(), "benchmarks.map_weights"))
    elif asked.runs:
        print("\n\n".join(tables(asked.runs)))
    else:
        print("\n\n".join(stored().values()))


def stored() -> dict[str, str]:
    """The tables of the packed runs by the names that their places in the documents have."""
    found = {}
    for study in STUDIES:
        found[study], found[f"{study} differences"] = tables([RESULTS / study])
    return found


def tables(runs: Sequence[Path]) -> tuple[str, str]:
    """A row per arm, and a row per pair of arms, in Markdown."""
    comparison = compare(find_runs(runs), compared=COMPARED, allowed=ALLOWED)
    names = {arm_of(method): method for method in comparison.methods}
    arms = [arm for arm in ARMS.values() if arm in names]
    return _arms(comparison, arms, names), _differences(comparison, arms, names)


def arm_of(method: Method) -> str:
    """What the documents call the runs of a method."""
    run = method.runs[0]
    return ARMS[run.settings["dataset.name"].strip('"'), run.choices["callbacks"]]


def _arms(comparison: Comparison, arms: Sequence[str], names: Mapping[str, Method]) -> str:
    rows = []
    for arm in arms:
        table = comparison.per_run[comparison.per_run["method"] == names[arm].name]
        dice, far = (
            table[table["metric"] == metric].groupby("class_name")["value"]
            for metric in ("dice", "hausdorff95")
        )
        each = [f"{dice.mean()[name]:.3f}" for name in comparison.classes]
        mean = f"{dice.mean()[MEAN]:.3f} ± {dice.std()[MEAN]:.3f}"
        rows.append([arm, str(len(names[arm].runs)), *each, mean, f"{far.mean()[MEAN]:.1f}"])
    head = ["arm", "runs", *comparison.classes, "mean Dice", f"Hausdorff95, {comparison.unit}"]
    return markdown(head, rows)


def _differences(comparison: Comparison, arms: Sequence[str], names: Mapping[str, Method]) -> str:
    rows = []
    for before, after in combinations(arms, 2):
        row = pair_of(comparison, names[after].name, names[before].name)
        size = f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
        measured = f"{int(row['seeds'])} seeds, {int(row['subjects'])} patients"
        rows.append([after, before, size, f"{row['p']:.2g}", f"{row['probability']:.2f}", measured])
    head = [
        "arm",
        "against",
        "difference of mean Dice [95 %]",
        "p",
        "better for a new seed and patient",
        "over",
    ]
    return markdown(head, rows)


if __name__ == "__main__":
    main()
