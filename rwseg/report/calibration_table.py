"""The table of calibration: expected calibration error, and how much surer than right a method is."""

from math import isnan

from rwseg.metrics.calibration import BINS
from rwseg.report.comparison.comparison import Comparison
from rwseg.report.markup import TextTable, cell
from rwseg.report.printed import Row, number, signed


def calibration(comparison: Comparison) -> TextTable:
    """Expected calibration error, and how much surer than right; of how many runs, where some lack it."""
    rows = [
        (
            cell(row["method"]),
            cell(_plus_minus(row, "ece"), row["ece"]),
            cell(_plus_minus(row, "overconfidence"), row["overconfidence"]),
            cell(f"{row['runs']} of {row['of']}" if row["runs"] < row["of"] else str(row["of"]), row["runs"]),
        )
        for row in comparison.calibration.to_dict("records")
    ]
    left_out = [m.name for m in comparison.methods if m.name not in set(comparison.calibration["method"])]
    absent = f" Without metrics/reliability.csv: {', '.join(left_out)}." if left_out else ""
    caption = (
        f"Expected calibration error over {BINS} bins of confidence (the largest class probability), and "
        "mean confidence minus accuracy, above 0 where a method is surer than it is right: mean ± std "
        "(n - 1) over the runs that kept their confidences, over pixels that reference or prediction takes "
        "for foreground "
        f"(the many sure pixels of the background would hide the rest).{absent}"
    )
    return TextTable("calibration", caption, ("method", "ECE", "confidence - accuracy", "runs"), tuple(rows))


def _plus_minus(row: Row, name: str) -> str:
    value, std = row[name], row[f"{name}_std"]
    text = number(value, 3) if name == "ece" else signed(value, 3)
    return text if isnan(std) else f"{text} ± {std:.3f}"
