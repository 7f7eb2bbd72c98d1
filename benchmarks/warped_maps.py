"""How far cached maps (3D, mm, warped with the image) and online ones (2D, of the augmented labels) differ.

    python -m benchmarks.warped_maps [--samples 400] [override ...]
    for example: python -m benchmarks.warped_maps dataset=acdc dataset.root=../shared/data/acdc

Prints two Markdown tables of mean absolute differences per class, under one transform at a time: of RRW
weights at the pixels of the class (they lie in [-1, 0]), and of boundary distances to the class at all
pixels, in mm (online distances are in pixels; here they are times the pixel's size). Each entry is "cached /
slice": how far the precomputed map is from the online one, and how far a 2D map of the whole slice, warped in
the same way, is from it. The second is what cutting and warping do; the rest of the first is 3D against 2D.
"""

import argparse
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rwseg.data.augmentation.batches import warped_batch
from rwseg.data.augmentation.draws import Warps
from rwseg.data.augmentation.spatial import transforms_of
from rwseg.data.preprocessing.distances import ensure_distances
from rwseg.data.preprocessing.prepared import Prepared
from rwseg.data.sampling.patches import Boxes, Floats, Sampler, Size, uniforms
from rwseg.data.sampling.slice_cache import SliceCache
from rwseg.data.sampling.stores import load_slices
from rwseg.experiments.composition import compose
from rwseg.experiments.config.validation import check
from rwseg.experiments.prepared_run import prepare_run
from rwseg.maps import RectifiedMap, boundary_map, rectified_rrw_map

CPU = torch.device("cpu")
BATCH = 40
TRANSFORMS = {
    "none": "a patch inside the slice",
    "flips": "",
    "rotation": "any angle",
    "zoom in": "factor 0.7 to 1",
    "zoom out": "factor 1 to 1.4",
    "padding": "the configured patch, larger than many slices",
}


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(description="Differences of cached and online maps.")
    options.add_argument("--samples", type=int, default=400)
    options.add_argument("overrides", nargs="*")
    given = options.parse_args(arguments)
    cfg = check(compose("train", given.overrides)[0])
    run = prepare_run(cfg)
    prepared, patch = run.data, run.patch_size
    for name, unit in (("rrw", "RRW weights"), ("boundary", "boundary distances, mm")):
        ensure_distances(prepared, name)
        print(f"\n{cfg.dataset.name}, {given.samples} patches per row, {unit}: cached / slice\n")
        print("| transform | " + " | ".join(prepared.classes) + " |")
        print("|---" * (1 + len(prepared.classes)) + "|")
        caches = cached_and_slicewise(prepared, name)
        for transform, meaning in TRANSFORMS.items():
            cells = " | ".join(
                cell(pair) for pair in differences(prepared, caches, transform, patch, given.samples)
            )
            print(f"| {transform}{f' ({meaning})' if meaning else ''} | {cells} |", flush=True)


def cell(pair: tuple[float, float]) -> str:
    return " / ".join(f"{value:.1f}" if value >= 1 else f"{value:.2g}" for value in pair)


class Caches(NamedTuple):
    """What training uses, the same with the map of each slice alone (distances in mm), and their sampler."""

    cached: SliceCache
    slicewise: SliceCache
    sampler: Sampler


def cached_and_slicewise(prepared: Prepared, name: str) -> Caches:
    """The caches of the training slices."""
    entries = prepared.split("train")
    cached, sampler = load_slices(prepared, entries, name, False, CPU, splines=True)
    volumes = []
    for entry in entries:
        labels = torch.from_numpy(np.array(prepared.label(entry)))
        dense = online(labels.long(), name, len(prepared.classes), entry.spacing[1:])  # (M, Z, H, W)
        volumes.append(dense.flatten(1))
    flat = cached.flat._replace(map_channels=torch.cat(volumes, dim=1))
    slicewise = SliceCache(flat, cached.sizes, cached.rectified, cached.has_ignored)
    return Caches(cached, slicewise, sampler)


def online(labels: Tensor, name: str, num_classes: int, spacing: Sequence[float]) -> Tensor:
    """The map of each of `labels` (B, H, W) alone: `(1, B, H, W)` for RRW, else `(K, B, H, W)`."""
    if name == "rrw":
        return rectified_rrw_map(labels, num_classes, spacing).inside[None]
    return boundary_map(labels, num_classes, spacing).movedim(1, 0)


def differences(
    prepared: Prepared, caches: Caches, transform: str, patch: Size, samples: int
) -> list[tuple[float, float]]:
    """Mean absolute differences of each class: cached and slicewise map, each from the online one."""
    classes = len(prepared.classes)
    name = "rrw" if caches.cached.rectified else "boundary"
    spacing = prepared.split("train")[0].spacing[1:]
    sums, counts = np.zeros((2, classes)), np.zeros(classes)
    for first in range(0, samples, BATCH):
        labels, precomputed = patches(caches, transform, patch, first)
        truth = online(labels, name, classes, spacing)
        for k in range(classes):
            here = labels == k if name == "rrw" else torch.ones_like(labels, dtype=torch.bool)
            channel = 0 if name == "rrw" else k
            counts[k] += int(here.sum())
            for row, planes in enumerate(precomputed):
                sums[row, k] += float((planes[channel] - truth[channel])[here].abs().sum(dtype=torch.float64))
    means = sums / counts
    return [(float(cached), float(slicewise)) for cached, slicewise in means.T]


def patches(caches: Caches, transform: str, patch: Size, first: int) -> tuple[Tensor, list[Tensor]]:
    """Labels and both maps `(M, B, H, W)` of the samples from `first` on, the same for each transform."""
    sampler = caches.sampler
    if transform != "padding":
        height, width = sampler.sizes.min(0).tolist()
        patch = (min(patch[0], height), min(patch[1], width))
    draws = uniforms(0, first, BATCH)
    boxes = sampler.boxes(draws, np.zeros(BATCH, bool), patch, flip=transform == "flips")
    warps = warps_of(transform, draws[:, 7], boxes)
    labels, maps = [], []
    for slice_cache in caches[:2]:
        cut = slice_cache.batch(boxes, patch)
        if warps is not None:
            cut = warped_batch(
                slice_cache, transforms_of(boxes, warps, patch, patch), patch, masked=False
            ).batch
        labels.append(cut.labels)
        assert cut.region_map is not None
        rectified = isinstance(cut.region_map, RectifiedMap)
        maps.append(cut.region_map[0][None] if rectified else cut.region_map.movedim(1, 0))
    return labels[0], maps


def warps_of(transform: str, uniform: Floats, boxes: Boxes) -> Warps | None:
    angle, factor = np.zeros(len(uniform)), np.ones(len(uniform))
    if transform == "rotation":
        angle = np.pi * (2 * uniform - 1)
    elif transform == "zoom in":
        factor = 0.7 + 0.3 * uniform
    elif transform == "zoom out":
        factor = 1 + 0.4 * uniform
    else:
        return None
    return Warps(np.arange(len(boxes.slices)), angle, factor)


if __name__ == "__main__":
    main()
