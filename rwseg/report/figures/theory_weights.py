"""Figures 2 and 4 of the region-wise paper: gradients over all predictions for three classes."""

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from torch import Tensor

from rwseg.losses.theory.gradients import cross_entropy_gradient, region_wise_gradient
from rwseg.losses.theory.signs import wrong_sign_share
from rwseg.report.figures.theory_simplex import (
    CORNERS,
    Values,
    draw_simplex,
    fill,
    hatch_negative,
    softmax_grid,
    triangulation,
)

GRID_STEPS = 120
WEIGHTS = {"RW-Boundary": (12.0, 4.0, -3.0), "RRW": (10.0, 10.0, -3.0)}
"""The paper's two examples; the true class is the third."""

BLUE, ORANGE = "#0072B2", "#D55E00"  # Okabe and Ito's, told apart by colour-blind readers


def gradient_signs_figure() -> Figure:
    """Figure 2: the gradient of each class over all predictions, of boundary and of rectified weights."""
    softmax = softmax_grid(GRID_STEPS)
    gradients = [region_wise_gradient(softmax, torch.tensor(z).double()) for z in WEIGHTS.values()]
    largest = max(float(gradient.abs().max()) for gradient in gradients)
    levels = np.linspace(-largest, largest, 18)
    figure = Figure(figsize=(9.5, 7), layout="constrained")
    rows = figure.subfigures(2, 1, squeeze=False)[:, 0]
    for row, name, gradient in zip(rows, WEIGHTS, gradients, strict=True):
        _draw_signs(row, name, softmax, gradient, levels)
    figure.suptitle(
        "Does the loss push the right class up, whatever the network predicts?\n"
        "Each point of a triangle is a prediction for three classes; a corner gives one class probability 1.",
        fontsize=11,
    )
    return figure


def _draw_signs(row: SubFigure, name: str, softmax: Tensor, gradient: Tensor, levels: Values) -> None:
    """One panel per component of `gradient` `(N, 3)`, hatched where its sign is wrong."""
    z, grid = torch.tensor(WEIGHTS[name]).double(), triangulation(softmax)
    pull = z - (softmax * z).sum(1, keepdim=True)  # the gradient over p: its sign, and linear in softmax
    share = wrong_sign_share(WEIGHTS[name], label=2)
    weights = ", ".join(f"{weight:g}" for weight in WEIGHTS[name])
    row.suptitle(
        f"{name} weights z = [{weights}], true class 3: a wrong class goes up in {share:.0%} of predictions",
        fontsize=11,
        fontweight="bold",
    )
    panels = row.subplots(1, 3)
    for k, axes in enumerate(panels):
        bar = fill(axes, grid, gradient[:, k].numpy(), levels, matplotlib.colormaps["PuOr_r"])
        title = f"gradient at the logit of class {k + 1}\n(must be {'negative' if k == 2 else 'positive'})"
        draw_simplex(axes, title, ("class 1", "class 2", "class 3 (true)"))
        if k != 2 and hatch_negative(axes, grid, pull[:, k].numpy()):
            axes.annotate(
                "wrong sign:\nnegative, so a step\nraises this class",
                xy=(0.3, 0.27),
                xytext=(-0.2, 0.7),
                fontsize=8,
                arrowprops={"arrowstyle": "->", "linewidth": 1.4},
            )
    row.colorbar(bar, ax=panels, label="gradient", shrink=0.85, format="%.1f")


def small_gradients_figure() -> Figure:
    """Figure 4: the true class's gradient over all predictions, for a region-wise loss and cross entropy."""
    softmax = softmax_grid(GRID_STEPS)
    z, y = torch.tensor([0.0, 1.0, 1.0]).double(), torch.zeros(len(softmax), dtype=torch.long)
    figure = Figure(figsize=(11.5, 4.6), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(2, 1.15))[0]
    panels = left.subplots(1, 2)
    for axes, name, gradient in (
        (panels[0], "Region-wise loss, z = 1 - y = [0, 1, 1]", region_wise_gradient(softmax, z)),
        (panels[1], "Cross entropy", cross_entropy_gradient(softmax, y)),
    ):
        levels, colours = np.linspace(-1, 0, 21), matplotlib.colormaps["cividis"]
        bar = fill(axes, triangulation(softmax), gradient[:, 0].numpy(), levels, colours)
        draw_simplex(axes, name, ("class 1 (true)", "class 2", "class 3"))
    strongest = (CORNERS[0] + CORNERS[1:]) / 2  # p_1 = 1/2: the middles of two edges, and all between them
    panels[0].plot(*strongest.T, color="white", linestyle="--", linewidth=2)
    panels[0].annotate(
        "strongest: -0.25,\nwhere $p_1 = 1/2$",
        xy=strongest.mean(0).tolist(),
        xytext=(0.76, 0.72),
        fontsize=8,
        arrowprops={"arrowstyle": "->"},
    )
    left.colorbar(bar, ax=panels, label="gradient at the logit of class 1", shrink=0.8, location="bottom")
    _draw_profile(right.subplots())
    title = "How strongly is the true class pushed up? (y = [1, 0, 0]; more negative is stronger)"
    figure.suptitle(title, fontsize=11)
    return figure


def _draw_profile(axes: Axes) -> None:
    """Both gradients along the probability of the true class, on which alone they depend."""
    p = torch.linspace(0, 1, 201, dtype=torch.float64)
    softmax = torch.stack([p, 1 - p], dim=1)
    region_wise = region_wise_gradient(softmax, torch.tensor([0.0, 1.0]).double())[:, 0]
    cross_entropy = cross_entropy_gradient(softmax, torch.zeros(len(p), dtype=torch.long))[:, 0]
    axes.plot(p.numpy(), region_wise.numpy(), color=BLUE, label="region-wise: $-p_1 (1 - p_1)$")
    axes.plot(p.numpy(), cross_entropy.numpy(), "--", color=ORANGE, label="cross entropy: $p_1 - 1$")
    axes.plot([0.5], [-0.25], "o", color=BLUE)
    axes.annotate("-0.25", (0.5, -0.25), (0, -14), textcoords="offset points", ha="center", color=BLUE)
    axes.annotate(
        "surely wrong,\nyet hardly moved",
        xy=(0.02, -0.025),
        xytext=(0.03, -0.55),
        fontsize=8,
        color=BLUE,
        arrowprops={"arrowstyle": "->", "color": BLUE},
    )
    axes.set(xlabel="probability $p_1$ of the true class", ylabel="gradient at the logit of class 1")
    axes.set(xlim=(0, 1), ylim=(-1.02, 0.03))
    axes.set_title("Both depend on $p_1$ alone", fontsize=9.5)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=9)
