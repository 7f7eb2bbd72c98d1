"""A training batch: boxes cut, some of them warped, intensities changed; all on the training device.

The order is nnU-Net's but for the flips, which are made while cutting: every step between the two treats
an image and its mirror image alike (noise is as likely either way; where low resolution finds two pixels
equally near it takes the later one, mirrored or not).
"""

from typing import NamedTuple

import numpy as np
from torch import Tensor

from rwseg.data.augmentation.config import AugmentConfig, SpatialSettings
from rwseg.data.augmentation.draws import draw_intensities, draw_warps
from rwseg.data.augmentation.intensity import change_intensities
from rwseg.data.augmentation.spatial import (
    AffineTransforms,
    coordinates_of,
    cubic,
    interpolate_labels,
    linear,
    neighbours_of,
    transforms_of,
    windows_of,
)
from rwseg.data.case import IGNORE
from rwseg.data.sampling.patches import Boxes, Floats, Ints, Size
from rwseg.data.sampling.slice_cache import Batch, SliceCache
from rwseg.data.sampling.staging import Windows
from rwseg.data.sampling.to_device import to_device
from rwseg.maps import RectifiedMap

EMPTY = -1
"""Label of background where the image holds nothing, for as long as patches are warped."""


def loader_size(spatial: SpatialSettings | None, patch: Size) -> Size:
    """The size of the boxes of which patches are the middle: nnU-Net's square, or the patch itself."""
    if spatial is None:
        return patch
    side = int(max(patch) / spatial.loader_margin)
    return side, side


def augmented_batch(
    slice_cache: SliceCache, boxes: Boxes, draws: Floats, settings: AugmentConfig, patch: Size, masked: bool
) -> Batch:
    """The batch of `boxes`, augmented by the uniform numbers `draws` of its samples.

    `masked`: background that is exactly 0 in all channels (data sets whose nonzero voxels are standardised)
    stays 0, whatever happens to the rest.
    """
    batch = slice_cache.batch(boxes, patch)
    empty = empty_of(batch.image.movedim(0, 1), batch.labels) if masked else None
    if settings.spatial is not None:
        warps = draw_warps(settings.spatial, draws, patch)
        if warps.samples.size:
            transforms = transforms_of(boxes, warps, patch, loader_size(settings.spatial, patch))
            warped = warped_batch(slice_cache, transforms, patch, masked)
            samples = to_device(warps.samples, batch.labels.device)
            for whole, part in zip(_tensors(batch), _tensors(warped.batch), strict=True):
                whole.index_copy_(0, samples, part)
            if empty is not None and warped.empty is not None:
                empty.index_copy_(0, samples, warped.empty)
    if settings.intensity is not None:
        change_intensities(batch.image, draw_intensities(settings.intensity, draws, batch.image.shape[1]))
    if empty is not None:
        batch.image.masked_fill_(empty[:, None], 0.0)
    return batch


def windows_read(
    sizes: Ints, boxes: Boxes, draws: Floats, settings: SpatialSettings | None, patch: Size
) -> Windows:
    """What `augmented_batch` reads to warp some of the `boxes`, which lie in slices of `sizes` (B, 2)."""
    warps = None if settings is None else draw_warps(settings, draws, patch)
    if settings is None or warps is None or not warps.samples.size:
        return Windows(np.empty(0, np.int64), boxes, patch)
    transforms = transforms_of(boxes, warps, patch, loader_size(settings, patch))
    return Windows(warps.samples, *windows_of(transforms, sizes[warps.samples], patch))


class Warped(NamedTuple):
    """A warped batch, and where it holds nothing, `(n, h, w)`, if that was asked for."""

    batch: Batch
    empty: Tensor | None


def warped_batch(slice_cache: SliceCache, transforms: AffineTransforms, patch: Size, masked: bool) -> Warped:
    """The patches that `transforms` read (`data.augmentation.spatial`); `masked` as in `augmented_batch`.

    nnU-Net warps the box that its loader cut, and sees nothing beyond it; here the whole slice is seen.
    """
    sizes = slice_cache.sizes[transforms.slices]
    windows, size = windows_of(transforms, sizes, patch)
    coordinates = coordinates_of(transforms, windows, sizes, patch, slice_cache.flat.labels.device)
    neighbours, pixels = neighbours_of(coordinates, size), slice_cache.pixels(windows, size)
    shape = coordinates.inside.shape  # (n, h, w)
    image = (
        cubic(slice_cache.coefficients_at(windows, size), neighbours)
        .view(-1, *shape)
        .mul_(coordinates.inside)
    )
    labels, planes = slice_cache.labels_at(pixels)
    codes = labels.short()
    if masked:
        codes.masked_fill_(empty_of(slice_cache.image_at(pixels), labels), EMPTY)
    codes = interpolate_labels(codes, neighbours).view(shape)
    if planes is not None:
        planes = linear(planes, neighbours).view(-1, *shape)
        if slice_cache.has_ignored:
            slice_cache.of_map(planes).mul_(codes != IGNORE)
    batch = Batch(image.movedim(0, 1).contiguous(), codes.clamp(min=0).long(), *slice_cache.as_map(planes))
    return Warped(batch, codes == EMPTY if masked else None)


def empty_of(image: Tensor, labels: Tensor) -> Tensor:
    """Where the image `(C, B, h, w)` is exactly 0 in all channels and the label `(B, h, w)` background."""
    return (image == 0).all(0) & (labels == 0)


def _tensors(batch: Batch) -> list[Tensor]:
    region_map = batch.region_map
    maps = [*region_map] if isinstance(region_map, RectifiedMap) else [region_map]
    return [batch.image, batch.labels, *(part for part in (*maps, batch.pixels) if part is not None)]
