"""Drawing over the triangle of all softmax vectors of three classes (the 2-simplex)."""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.tri import Triangulation
from numpy.typing import NDArray
from torch import Tensor

HEIGHT = np.sqrt(3) / 2
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, HEIGHT]])
"""Where the classes 1, 2 and 3 have probability one: x, y of an equilateral triangle of side 1."""

Values = NDArray[np.float64]


def softmax_grid(steps: int) -> Tensor:
    """Return all softmax vectors of three classes in multiples of `1 / steps`, float64 `(N, 3)`."""
    pairs = [(i, j) for i in range(steps + 1) for j in range(steps + 1 - i)]
    first = torch.tensor(pairs, dtype=torch.float64) / steps
    return torch.cat([first, 1 - first.sum(1, keepdim=True)], dim=1).clamp_(min=0)


def triangulation(softmax: Tensor) -> Triangulation:
    """Return the triangles between softmax vectors `(N, 3)`, in the plane of `CORNERS`."""
    x, y = (softmax.numpy() @ CORNERS).T
    return Triangulation(x, y)


def draw_simplex(axes: Axes, title: str, names: tuple[str, str, str]) -> None:
    """Outline the triangle, name its corners and take away the axes."""
    axes.plot(*CORNERS[[0, 1, 2, 0]].T, color="black", linewidth=1)
    for (x, y), name, below in zip(CORNERS, names, (True, True, False), strict=True):
        axes.annotate(
            name,
            (x, y),
            xytext=(0, -5 if below else 5),
            textcoords="offset points",
            ha="center",
            va="top" if below else "bottom",
            fontsize=8,
        )
    axes.set(xlim=(-0.17, 1.17), ylim=(-0.15, HEIGHT + 0.17), aspect="equal")
    axes.set_axis_off()
    axes.set_title(title, fontsize=9.5)


def fill(
    axes: Axes, grid: Triangulation, values: Values, levels: Values, colours: Colormap
) -> ScalarMappable:
    """Colour the triangle in bands between `levels`; returns what a colour bar needs."""
    axes.tricontourf(grid, values, levels=levels, cmap=colours, zorder=0)
    return ScalarMappable(Normalize(levels[0], levels[-1]), colours)


def hatch_negative(axes: Axes, grid: Triangulation, values: Values) -> bool:
    """Hatch and outline where linear `values` are below zero; returns whether there is such a place."""
    if not (values < -1e-9).any():
        return False
    axes.tricontourf(grid, values, levels=[values.min() - 1, 0], colors="none", hatches=["////"], zorder=1)
    axes.tricontour(grid, values, levels=[0], colors="black", linewidths=1.6)
    return True
