"""Draw what the augmentation does to one slice and to its RRW map.

    rwseg augmentation [--out docs/figures/augmentation.png] [override ...]

The slice is the one of the training split with most foreground, cut to a square around it. Each column but
the first shows one augmentation at a setting within nnU-Net's ranges. The map is the cached one, computed on
the volume in mm and moved with the image; changes of intensity leave it alone.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from rwseg.core.errors import RwsegError
from rwseg.core.paths import user_path
from rwseg.data.augmentation.batches import warped_batch
from rwseg.data.augmentation.draws import Chosen, Intensities, Warps
from rwseg.data.augmentation.intensity import change_intensities
from rwseg.data.augmentation.spatial import transforms_of
from rwseg.data.case import IGNORE
from rwseg.data.preprocessing.distances import ensure_distances
from rwseg.data.preprocessing.prepared import Prepared
from rwseg.data.sampling.patches import Boxes
from rwseg.data.sampling.slice_cache import Batch, SliceCache
from rwseg.data.sampling.stores import HostSlices, load_slices
from rwseg.experiments.composition import compose
from rwseg.experiments.config.validation import check
from rwseg.experiments.prepared_run import prepared_data, workers
from rwseg.maps import RectifiedMap
from rwseg.training.figures import run_colours, save

MARGIN = 1.5
"""The square's side over that of the foreground."""


@dataclass(frozen=True)
class Example:
    """A column: how far it is turned and scaled, whether it is flipped, and what happens to intensities."""

    title: str
    degrees: float = 0.0
    factor: float = 1.0
    flips: tuple[bool, bool] = (False, False)
    steps: tuple[tuple[str, float], ...] = ()


EXAMPLES = (
    Example("original"),
    Example("turned by 40°", degrees=40),
    Example("zoomed in, 0.7", factor=0.7),
    Example("zoomed out, 1.4,\nturned by 160°", degrees=160, factor=1.4),
    Example("flipped, noise,\nbrightness", flips=(True, False), steps=(("noise", 0.1), ("brightness", 1.25))),
    Example(
        "low resolution,\nblur, contrast",
        flips=(False, True),
        steps=(("blur", 1.0), ("contrast", 0.75), ("low_resolution", 0.5)),
    ),
    Example("turned by -75°,\ngamma 1.5", degrees=-75, steps=(("gamma", 1.5),)),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; what the user can mend ends it with status 2 and a message."""
    parser = argparse.ArgumentParser(
        prog="rwseg augmentation", description="Draw examples of the augmentation."
    )
    parser.add_argument("--out", type=user_path, default=Path("docs/figures/augmentation.png"))
    parser.add_argument("overrides", nargs="*", help="settings of rwseg train, such as dataset=acdc")
    asked = parser.parse_args(arguments)
    try:
        cfg = check(compose("train", asked.overrides)[0])
        prepared = prepared_data(cfg)
        ensure_distances(prepared, "rrw", workers(cfg))
        print(f"wrote {save(augmentation_figure(prepared), asked.out)}")
    except RwsegError as error:
        print(f"rwseg augmentation: {error}", file=sys.stderr)
        raise SystemExit(2) from error


def augmentation_figure(prepared: Prepared) -> Figure:
    """Two rows, the image with the contours of its labels and the RRW map, and a column per example."""
    entries = prepared.split("train")
    slice_cache, _ = load_slices(prepared, entries, "rrw", True, torch.device("cpu"), splines=True)
    number, (top, left), side = most_foreground(slice_cache)
    count = len(EXAMPLES)
    flips = np.array([example.flips for example in EXAMPLES])
    boxes = Boxes(np.full(count, number), np.full(count, top), np.full(count, left), flips)
    batch = example_batch(slice_cache, boxes, (side, side))
    spacing = entries[0].spacing
    figure = Figure(figsize=(1.65 * count + 0.9, 4.2), layout="constrained")
    rows = figure.subplots(2, count, squeeze=False)
    limits = tuple(np.percentile(batch.image[0, 0], (1, 99)))
    assert isinstance(batch.region_map, RectifiedMap)
    for column, example in enumerate(EXAMPLES):
        upper, lower = rows[:, column]
        _draw_image(upper, batch.image[column, 0], batch.labels[column], len(prepared.classes), limits)
        upper.set_title(example.title, fontsize=9)
        shown = lower.imshow(batch.region_map.inside[column].numpy(), cmap="viridis_r", vmin=-1, vmax=0)
        for axes in (upper, lower):
            axes.set(xticks=[], yticks=[], aspect=spacing[1] / spacing[2])
    rows[0, 0].set_ylabel("image, labels")
    rows[1, 0].set_ylabel("weight of the true class")
    figure.colorbar(shown, ax=rows.ravel().tolist(), shrink=0.6, label="RRW weight")
    colours = run_colours(len(prepared.classes) - 1)
    names = zip(prepared.classes[1:], colours, strict=True)
    figure.legend(
        handles=[Line2D([], [], color=colour, label=name) for name, colour in names],
        loc="outside lower center",
        ncols=len(colours),
    )
    return figure


def most_foreground(slice_cache: SliceCache) -> tuple[int, tuple[int, int], int]:
    """The slice that holds most foreground, and the corner and side of the square around it."""
    slices = HostSlices(slice_cache.flat, slice_cache.sizes)
    labels = [slices.labels(number) for number in range(len(slice_cache.sizes))]
    number = int(np.argmax([((label > 0) & (label != IGNORE)).sum() for label in labels]))
    plane = labels[number]
    places = np.argwhere((plane > 0) & (plane != IGNORE))
    low, high = places.min(0), places.max(0)
    side = math.ceil(MARGIN * float((high - low + 1).max()))
    top, left = ((low + high + 1 - side) // 2).tolist()
    return number, (top, left), side


def example_batch(slice_cache: SliceCache, boxes: Boxes, patch: tuple[int, int]) -> Batch:
    """The patches of `EXAMPLES`."""
    angle = np.deg2rad([example.degrees for example in EXAMPLES])
    warps = Warps(np.arange(len(EXAMPLES)), angle, np.array([example.factor for example in EXAMPLES]))
    batch = warped_batch(slice_cache, transforms_of(boxes, warps, patch, patch), patch, masked=False).batch
    change_intensities(batch.image, _intensities())
    return batch


def _intensities() -> Intensities:
    def chosen(step: str) -> Chosen:
        found = [(i, value) for i, e in enumerate(EXAMPLES) for name, value in e.steps if name == step]
        samples = np.array([sample for sample, _ in found], dtype=np.int64)
        return Chosen(samples, np.zeros_like(samples), np.array([value for _, value in found]))

    noise = chosen("noise")
    return Intensities(
        noise=noise,
        noise_keys=np.zeros((len(noise.samples), 2), dtype=np.int64),
        blur=chosen("blur"),
        brightness=chosen("brightness"),
        contrast=chosen("contrast"),
        low_resolution=chosen("low_resolution"),
        inverted_gamma=chosen("inverted_gamma"),
        gamma=chosen("gamma"),
    )


def _draw_image(
    axes: Axes, image: Tensor, labels: Tensor, num_classes: int, limits: tuple[float, ...]
) -> None:
    axes.imshow(image.numpy(), cmap=matplotlib.colormaps["gray"], vmin=limits[0], vmax=limits[1])
    for label, colour in enumerate(run_colours(num_classes - 1), start=1):
        if (labels == label).any():
            axes.contour((labels == label).numpy(), levels=[0.5], colors=colour, linewidths=1.2)


if __name__ == "__main__":
    main()
