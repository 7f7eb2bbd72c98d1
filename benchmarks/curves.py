"""docs/figures/growth.svg: what a training step takes as its data grow, by where the slices live."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from rwseg.core.files import write_text
from rwseg.report.figures.save import METADATA
from rwseg.report.figures.style import BLUE, GREEN, VERMILION, WIDTH, styled
from rwseg.report.figures.svg import compact

COLOURS = (BLUE, GREEN, VERMILION)
PREFIX = "steps, "
"""Of the tables that are drawn: benchmarks/growth.py."""


def growth_curves(tables: Mapping[str, Sequence[Mapping[str, Any]]], file: Path) -> None:
    """Milliseconds of the processor per step, and peak memory, over pictures; a line per place."""
    with styled():
        figure = Figure(figsize=(WIDTH, 0.36 * WIDTH), layout="constrained")
        left, right = figure.subplots(1, 2)
        places = [name for name in tables if name.startswith(PREFIX)]
        for name, colour in zip(places, COLOURS, strict=True):
            rows = tables[name]
            pictures = [row["pictures"] for row in rows]
            label = name.removeprefix(PREFIX)
            memory = [row["peak_mib"] + row["readers_peak_mib"] for row in rows]
            left.plot(pictures, [row["ms_a_step"] for row in rows], "o-", color=colour, label=label)
            right.plot(pictures, memory, "o-", color=colour, label=label)
        for axes, title in ((left, "Processor time of a step (ms)"), (right, "Peak memory (MiB)")):
            axes.set_xscale("log", base=2)
            axes.set_xticks(pictures, [str(count) for count in pictures])
            axes.set_ylim(bottom=0)
            axes.set_xlabel("pictures of 512 x 512")
            axes.set_title(title)
        left.legend(title="data.residency")
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg", metadata=METADATA["svg"])
    write_text(file, compact(drawn.getvalue()))
