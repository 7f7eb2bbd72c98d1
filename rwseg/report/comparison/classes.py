"""Which classes tables and figures show, and what they call them."""

from collections.abc import Iterable

from rwseg.report.comparison.comparison import Comparison
from rwseg.report.comparison.samples import MEAN


def shown_classes(comparison: Comparison) -> list[str]:
    """The classes and, where there are several, their mean."""
    return [*comparison.classes, *([MEAN] if len(comparison.classes) > 1 else [])]


def panel_classes(comparison: Comparison, held: Iterable[str]) -> list[str]:
    """As `shown_classes`, those in `held` only and the mean first: what a figure has a panel for."""
    there = set(held)
    return sorted(
        (name for name in shown_classes(comparison) if name in there), key=lambda name: name != MEAN
    )


def class_label(name: str) -> str:
    """What a heading calls a class."""
    return "mean over classes" if name == MEAN else name
