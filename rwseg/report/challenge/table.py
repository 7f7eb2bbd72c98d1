"""Per-phase results in the shape of the paper's Table 5, from any `cases.csv` on ACDC."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rwseg.core.errors import MALFORMED, DataError

PHASES = ("ED", "ES")
STRUCTURES = {1: "RV", 2: "M", 3: "LV"}
METRICS = {"dice": ("Dice", 2), "hausdorff": ("HD mm", 1)}

# Valverde and Tohka, Region-wise loss for biomedical image segmentation, Pattern Recognition 136, 2023, Table
# 5: ED and ES of Dice and Hausdorff distance of RV, M and LV on the test set, by the challenge's platform.
TABLE_5 = {
    "RRW (paper, test set)": "0.95 0.89 12.0 13.9 0.91 0.92 9.3 11.8 0.97 0.93 6.2 10.5",
    "Isensee et al. (test set)": "0.95 0.90 10.1 12.2 0.90 0.92 8.7 8.7 0.97 0.93 7.4 6.9",
    "Baumgartner et al. (test set)": "0.93 0.88 12.7 14.7 0.89 0.90 8.7 10.6 0.96 0.91 6.5 9.2",
    "Jang et al. (test set)": "0.93 0.89 12.9 11.8 0.88 0.90 9.9 8.9 0.96 0.92 7.7 7.1",
}


def phase_table(paths: Sequence[Path]) -> str:
    """Markdown: a row of means over cases for each `cases.csv` in `paths`, and below them the paper's rows.

    Means leave out what is NaN, as the paper's do; a note says how many structures were missed and spurious,
    and what they count as. Raises `DataError` for a file that is no `cases.csv` of ACDC with both phases.
    """
    columns = [
        f"{structure} {title} {phase}"
        for structure in STRUCTURES.values()
        for title, _ in METRICS.values()
        for phase in PHASES
    ]
    tables = {path: _read(path) for path in paths}
    rows = [[path.parent.as_posix(), *_means(table)] for path, table in tables.items()]
    rows += [[name, *text.split()] for name, text in TABLE_5.items()]
    lines = [["", *columns], ["---"] + ["---:"] * len(columns), *rows]
    notes = [_note(path.parent.as_posix(), table) for path, table in tables.items()]
    return "\n".join([*("| " + " | ".join(line) + " |" for line in lines), "", *notes, _SOURCE])


_SOURCE = (
    "Rows of the test set are from Table 5 of the paper (Valverde and Tohka, Pattern Recognition 136, 2023): "
    "the challenge's own test set and platform."
)


def _read(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path)
        table = table[["case", "phase", "label", "missed", "spurious", *METRICS]]
        found = set(zip(table["phase"], table["label"], strict=True))
    except MALFORMED as error:
        raise DataError(
            f"{path}: expected a cases.csv that this version of rwseg wrote: {error}; evaluate the run again"
        ) from error
    wanted = {(phase, label) for phase in PHASES for label in STRUCTURES}
    if found != wanted:
        phases = ", ".join(sorted({str(phase) for phase in table["phase"]}))
        raise DataError(
            f"{path}: expected ACDC's phases ED and ES with the labels 1, 2 and 3, got phases {phases} with "
            f"labels {', '.join(str(label) for label in sorted(set(table['label'])))}"
        )
    return table


def _means(table: pd.DataFrame) -> list[str]:
    return [
        f"{table.loc[(table['label'] == label) & (table['phase'] == phase), metric].mean():.{digits}f}"
        for label in STRUCTURES
        for metric, (_, digits) in METRICS.items()
        for phase in PHASES
    ]


def _note(name: str, table: pd.DataFrame) -> str:
    cases = table.groupby("phase")["case"].nunique()
    one_sided = table[(table["missed"] == 1) | (table["spurious"] == 1)]
    counts = (
        f"{name}: {cases['ED']} cases at ED, {cases['ES']} at ES; {table['missed'].sum()} structures missed, "
        f"{table['spurious'].sum()} spurious"
    )
    if one_sided.empty:
        return f"{counts}.\n"
    left_out = "no Hausdorff distance" if one_sided["hausdorff"].isna().all() else "the volume's diagonal"
    return f"{counts}: they count with Dice 0 and {left_out}.\n"
