"""The contact sheet: one slice of each of some cases, with the contours of its reference."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rwseg.data.case import IGNORE, LoadedCase
from rwseg.data.display import is_coloured
from rwseg.training.figures import run_colours, save

COLUMNS = 6


class Shown(NamedTuple):
    """A case of the sheet: what stands above it, of how many files it is, and its volume."""

    name: str
    files: int
    loaded: LoadedCase


def contact_sheet(cases: Sequence[Shown], classes: Sequence[str], title: str, path: Path) -> Path:
    """Draw for each case the slice with most foreground, in true proportions; returns `path`.

    The whole slice is shown, so that wrong orientation, spacing or slice axis can be seen.
    """
    columns = min(COLUMNS, len(cases))
    rows = -(-len(cases) // columns)
    width = 2.3 * max(3, columns)  # of the title, where there are few cases
    figure = Figure(figsize=(width, 0.9 + 2.75 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes in panels:
        axes.set_axis_off()
    for axes, case in zip(figure.axes, cases, strict=False):
        _draw(axes, case, len(classes))
    figure.suptitle(title)
    handles = [
        Line2D([], [], color=colour, label=name)
        for name, colour in zip(classes[1:], run_colours(len(classes) - 1), strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=8)
    return save(figure, path)


def _draw(axes: Axes, case: Shown, num_classes: int) -> None:
    loaded, label = case.loaded, case.loaded.label
    assert label is not None
    foreground = (label > 0) & (label != IGNORE)
    z = int(foreground.sum(axis=(1, 2)).argmax())
    coloured = is_coloured(len(loaded.image), case.files, loaded.unit)
    plane = loaded.image[:, z].transpose(1, 2, 0) if coloured else loaded.image[0, z]
    low, high = np.percentile(plane, (1, 99))
    aspect = loaded.spacing[1] / loaded.spacing[2]
    shown = np.clip((plane - low) / (high - low or 1), 0, 1)
    axes.imshow(shown, cmap="gray", vmin=0, vmax=1, aspect=aspect, interpolation="nearest")
    for k, colour in enumerate(run_colours(num_classes - 1), start=1):
        mask = label[z] == k
        if mask.any() and not mask.all():
            axes.contour(mask, levels=[0.5], colors=colour, linewidths=0.9)
    height, width = plane.shape[:2]
    side = f"{height * loaded.spacing[1]:.0f} x {width * loaded.spacing[2]:.0f} {loaded.unit}"
    axes.set_title(f"{case.name}\nslice {z + 1} of {len(label)}, {side}", fontsize=7.5, loc="left")
