"""The example that the gallery of losses is drawn on, and its pictures.

They are drawn pixel by pixel: small, sharp, and the same whatever the version of matplotlib.
"""

from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import matplotlib.image
import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from rwseg.core.files import replacing
from rwseg.losses import SegmentationLoss
from rwseg.losses.theory.signs import wrong_sign_pixels
from rwseg.training.figures import save

SHAPE = (48, 64)
PERCENTILE = 99.0
ENLARGED = 4
HATCH_STEP = 8
FRAME = ((2, 2), (2, 2), (0, 0))
# All colours are told apart by colour-blind readers.
CLASS_COLOURS = np.array([[255, 255, 255], [86, 180, 233], [230, 159, 0]]) / 255  # white, blue, orange
PROBABILITY_COLOURS = matplotlib.colormaps["cividis"].resampled(10)  # dark: 0, yellow: 1
PUSH_COLOURS = matplotlib.colormaps["PuOr"].resampled(41)  # orange: away from the true class, purple: towards


HEADINGS = (
    "labels",
    "predicted class; contours: labels",
    "probability of the true class\n(dark: 0, yellow: 1)",
    "gradient: purple pushes the true class up,\norange down; hatched: a wrong sign",
)


class Scene(NamedTuple):
    """Logits `(1, 3, H, W)`, float64, and labels `(1, H, W)`."""

    logits: Tensor
    labels: Tensor


def example() -> Scene:
    """Return a ring of class 1 around class 2, class 2 beside it, and a prediction that knows half of it.

    The prediction displaces ring, core and neighbour, adds a speck of class 1, misses a small disc of class 2
    and is unsure near contours.
    """
    labels = np.zeros(SHAPE, np.int64)
    for distance, label in ((_disc(30, 46, 8), 2), (_disc(24, 22, 17), 1), (_disc(24, 20, 9), 2)):
        labels[distance < 0] = label
    labels[_disc(9, 56, 3.6) < 0] = 2
    first = np.minimum(_disc(21, 26, 16), _disc(41, 58, 3.5))
    second = np.minimum(_disc(22, 24, 8), _disc(32, 48, 7))
    logits = [np.full(SHAPE, 1.0), (1.0 - 0.45 * first).clip(-3, 3), (1.5 - 0.6 * second).clip(-3, 6)]
    return Scene(torch.from_numpy(np.stack(logits))[None], torch.from_numpy(labels)[None])


def gradient(loss: SegmentationLoss, scene: Scene) -> tuple[Tensor, Tensor]:
    """Return minus the gradient at each pixel's true class, and where a sign is wrong: both `(H, W)`."""
    logits = scene.logits.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(logits, scene.labels), logits)
    push = -slope.gather(1, scene.labels[:, None])[0, 0]
    return push, wrong_sign_pixels(slope, scene.labels)[0]


def draw_gradient(scene: Scene, push: Tensor, wrong: Tensor, path: Path) -> None:
    """Draw what `gradient` returns, scaled to the 99th percentile of the absolute values."""
    write_pixels(_gradient_panel(scene, push, wrong), path)


def _gradient_panel(scene: Scene, push: Tensor, wrong: Tensor) -> NDArray[np.float64]:
    largest = float(np.percentile(push.abs().numpy(), PERCENTILE)) or 1.0
    colours = enlarged(PUSH_COLOURS((push.numpy() / largest + 1) / 2)[..., :3])
    hatched = enlarged(wrong.numpy())
    rows, columns = np.indices(hatched.shape)
    for offset, shade in ((0, 0.0), (1, 1.0)):  # a black line and a white one: seen on every colour
        colours[hatched & ((rows + columns) % HATCH_STEP == offset)] = shade
    return with_contours(colours, scene.labels)


def draw_example(scene: Scene, path: Path) -> None:
    """Draw, side by side, labels, predicted class and probability of the true class."""
    write_pixels(np.concatenate(_example_panels(scene), axis=1), path)


def draw_beside(scene: Scene, push: Tensor, wrong: Tensor, path: Path) -> None:
    """Draw the panels of `draw_example`, and beside them that of `draw_gradient`, with their headings."""
    panels = [*_example_panels(scene), np.pad(_gradient_panel(scene, push, wrong), FRAME)]
    figure = Figure(figsize=(12, 2.9), layout="constrained")
    for axes, panel, heading in zip(figure.subplots(1, len(panels)), panels, HEADINGS, strict=True):
        axes.imshow(panel.clip(0, 1), interpolation="nearest")
        axes.set_title(heading, fontsize=9, loc="left")
        axes.set_axis_off()
    save(figure, path)


def _example_panels(scene: Scene) -> list[NDArray[np.float64]]:
    softmax = torch.softmax(scene.logits, 1)
    right = softmax.gather(1, scene.labels[:, None])[0, 0]
    panels = (
        CLASS_COLOURS[scene.labels[0].numpy()],
        CLASS_COLOURS[softmax[0].argmax(0).numpy()],
        PROBABILITY_COLOURS(right.numpy())[..., :3],
    )
    return [np.pad(with_contours(enlarged(panel), scene.labels), FRAME) for panel in panels]


def _disc(row: float, column: float, radius: float) -> NDArray[np.float64]:
    """Distance of each pixel to a circle, negative inside."""
    rows, columns = np.indices(SHAPE)
    distance: NDArray[np.float64] = np.hypot(rows - row, columns - column) - radius
    return distance


def enlarged(values: NDArray[Any]) -> NDArray[Any]:
    """Repeat each pixel as a square."""
    return values.repeat(ENLARGED, 0).repeat(ENLARGED, 1)


def with_contours(colours: NDArray[np.float64], labels: Tensor) -> NDArray[np.float64]:
    """Blacken the pixels above and left of a change of labels `(1, H, W)` in an enlarged picture."""
    classes = enlarged(labels[0].numpy())
    edges = np.zeros(classes.shape, bool)
    edges[:-1] |= classes[1:] != classes[:-1]
    edges[:, :-1] |= classes[:, 1:] != classes[:, :-1]
    colours[edges] = 0
    return colours


def write_pixels(colours: NDArray[np.float64], path: Path) -> None:
    """Write RGB colours `(H, W, 3)` in [0, 1] as a PNG."""
    with replacing(path) as temporary:
        matplotlib.image.imsave(
            temporary, colours, format="png", metadata={"Software": "rwseg"}, pil_kwargs={"optimize": True}
        )
