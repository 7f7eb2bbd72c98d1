"""Cases in and out: files to checked arrays with the slice axis first, label maps back to files.

An image file is NIfTI or a picture, by its ending.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rwseg.core.errors import DataError
from rwseg.data.case import Case, LoadedCase, Remark, Source
from rwseg.data.io import nifti, pictures
from rwseg.data.io.image_grid import (
    SAME_SPACING,
    Volume,
    check_finite,
    check_same_grid,
    from_slices,
    slice_order,
    to_slices,
)
from rwseg.data.io.labels import to_classes
from rwseg.data.parallel import raise_faults

ENDINGS = (*nifti.ENDINGS, *pictures.ENDINGS)
"""Endings of the image files that can be read."""

_PICTURE_AXIS = 2


def read_case(case: Case, source: Source, slice_axis: int) -> LoadedCase:
    """Read and check every file of a case of `source`; `slice_axis` is the file's axis across slices.

    Raises `DataError` naming the file for: a missing, unreadable or corrupt file, an ending of neither kind,
    a volume that is not 3D, spacing that is not positive, values that are not finite, colours where
    `source.channels` declares none, files of differing shape or affine (`GEOMETRY_TOLERANCE`), label values
    that `source.label_values` does not know; naming the case, for another number of channels.
    """
    volumes = [read_volume(path, slice_axis) for path in case.images]
    _check_channels(case, source, volumes)
    differing = [remark for other in volumes[1:] for remark in check_same_grid(volumes[0], other)]
    first = volumes[0]
    channels = [_intensities(volume, slice_axis) for volume in volumes]
    image = channels[0] if len(channels) == 1 else np.concatenate(channels)  # (C, Z, H, W)
    remarks = [remark for volume in volumes for remark in (*volume.remarks, *_constant(volume))] + differing
    label = None
    if case.label is not None:
        label, said = _label(case.label, source, first, slice_axis)
        remarks += said
    z, y, x = (first.spacing[axis] for axis in slice_order(slice_axis))
    loaded = LoadedCase(image, label, (z, y, x), tuple(remarks), first.unit)
    return loaded if source.convert is None else replace(source.convert(loaded), remarks=loaded.remarks)


def slice_axis_of(source: Source) -> int:
    """The file's axis across slices: `source.slice_axis`, or the one of the largest median spacing.

    Medians are over the headers of all cases that are not for testing; among equal ones the last axis is
    taken. An axis of one voxel is the one across slices. Raises `DataError` that lists every faulty header.
    """
    if source.slice_axis is not None:
        return source.slice_axis
    images = [case.images[0] for case in source.cases if case.split != "test"]
    spacings, faults = [], []
    for path in images:
        try:
            spacings.append(thickness(path))
        except DataError as fault:
            faults.append(str(fault))
    raise_faults("slice axis by spacing", faults, len(images))
    if not spacings:
        raise DataError("no case to train on: expected some, to find the axis across slices by their spacing")
    medians = np.median(spacings, axis=0)
    return int(np.flatnonzero(medians >= medians.max() * (1 - SAME_SPACING))[-1])


def native_image(path: Path, slice_axis: int) -> NDArray[np.float32]:
    """Values (C, Z, H, W) of one file, C being 3 for RGB; raises `DataError` as `read_case`."""
    return _intensities(read_volume(path, slice_axis), slice_axis)


def label_ending(like: Path, values: Sequence[int] = ()) -> str:
    """Ending of the label map of an image: `.nii.gz` for NIfTI, a picture's own, `.png` where that cannot be.

    `values` are those that are written, where they are not classes: BMP holds none above 255.
    """
    if not pictures.is_picture(like):
        return ".nii.gz"
    lossy = like.suffix.lower() not in pictures.LOSSLESS
    narrow = like.suffix.lower() == ".bmp" and max(values, default=0) > np.iinfo(np.uint8).max
    return ".png" if lossy or narrow else like.suffix


def write_labels(
    path: Path,
    labels: NDArray[np.uint8],
    like: Path,
    slice_axis: int,
    *,
    values: Sequence[int] = (),
    converted: bool = False,
) -> None:
    """Write `labels` uint8 (Z, H, W) in the grid of the image `like`: classes, or of `values` those of each.

    They are 8-bit integers, 16-bit ones where `values` need it.

    NIfTI keeps affine, qform and sform codes, spacing and units of `like`, whatever its number type; a
    picture becomes a grey one. `converted` says that the case was converted after reading
    (`Source.convert`), so that the labels' shape is their own; the affine stays that of `like` even then.
    Atomic: a crash leaves the old file or none. Raises `ValueError` for another type or shape of `labels`, or
    where `path` and `like` are files of different kinds; `DataError` where `like` cannot be read or `path`
    not be written.
    """
    if labels.dtype != np.uint8 or labels.ndim != 3:
        raise ValueError(f"labels: expected uint8 (Z, H, W), got {labels.dtype} of shape {labels.shape}")
    if pictures.is_picture(path) != pictures.is_picture(like):
        raise ValueError(
            f"path: expected a file ending in {label_ending(like)}, as {like} has it, got {path}"
        )
    table = np.array(values, np.uint16 if max(values, default=0) > np.iinfo(np.uint8).max else np.uint8)
    on_file = from_slices(table[labels] if values else labels, slice_axis)
    if pictures.is_picture(path):
        _check_picture_axis(like, slice_axis)
        pictures.write_picture_labels(path, on_file, like, same_shape=not converted)
    else:
        nifti.write_nifti_labels(path, on_file, like, same_shape=not converted)


def write_share_map(path: Path, values: NDArray[np.float32], like: Path, slice_axis: int) -> None:
    """Write `values` (Z, H, W) between 0 and 1 in the grid of the image `like`: NIfTI of float32.

    A picture becomes a grey PNG in which 255 is 1. Atomic; raises as `write_labels`.
    """
    if pictures.is_picture(like):
        grey = np.rint(255 * values).astype(np.uint8)
        pictures.write_picture_labels(path, from_slices(grey, slice_axis), like, same_shape=True)
    else:
        nifti.write_nifti_labels(path, from_slices(values, slice_axis), like, same_shape=True)


def read_volume(path: Path, slice_axis: int, labels: bool = False) -> Volume:
    """One file, by its ending; a picture's colours are labels' palette. Raises `DataError` as `read_case`."""
    if path.name.endswith(nifti.ENDINGS):
        return nifti.read_nifti(path)
    if pictures.is_picture(path):
        _check_picture_axis(path, slice_axis)
        return pictures.read_picture(path, labels)
    raise DataError(f"{path}: expected a file ending in {', '.join(ENDINGS)}; convert it to one of these")


def thickness(path: Path) -> tuple[float, float, float]:
    """Spacing per file axis, that across slices the largest: of a picture's one slice it has no end."""
    return (1.0, 1.0, np.inf) if pictures.is_picture(path) else nifti.read_thickness(path)


def _check_picture_axis(path: Path, slice_axis: int) -> None:
    if slice_axis != _PICTURE_AXIS:
        raise DataError(
            f"{path}: expected a volume with slices across axis {slice_axis}, got a picture, whose one slice "
            f"is across axis {_PICTURE_AXIS}; give the kind of files that this dataset was set up with"
        )


def _check_channels(case: Case, source: Source, volumes: list[Volume]) -> None:
    """RGB is for a case of one file in a dataset of three channels; any other file is one channel."""
    names, found = ", ".join(source.channels), sum(len(volume.array) for volume in volumes)
    if len(volumes) == 1 and volumes[0].unit == "px" and {found, len(source.channels)} == {1, 3}:
        raise DataError(
            f"{volumes[0].path}: expected {'RGB' if found == 1 else 'grey values'} as the dataset's channels "
            f"({names}) say, got {'grey' if found == 1 else 'RGB'}; save all pictures alike"
        )
    for volume in volumes:
        if len(volume.array) != 1 and (len(volumes), len(source.channels)) != (1, len(volume.array)):
            raise DataError(
                f"{volume.path}: expected grey values for one of the channels ({names}), got RGB; convert it "
                "to grey, or declare three channels and give one file per case"
            )
    if found != len(source.channels):
        raise DataError(
            f"{case.name}: expected {len(source.channels)} channels ({names}), got {found} in "
            f"{', '.join(path.name for path in case.images) or 'no image file'}; give each channel its file"
        )


def _intensities(volume: Volume, slice_axis: int) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is reported just below
        array = volume.array.astype(np.float32)
    check_finite(volume.path, array)
    return np.ascontiguousarray(to_slices(array, slice_axis))


def _constant(volume: Volume) -> list[Remark]:
    """An export that went wrong leaves an image of one value, on which a network learns nothing."""
    values = [channel.flat[0] for channel in volume.array if channel.min() == channel.max()]
    return [Remark("an image of a single value", f"{volume.path.name}: {value:g}") for value in values]


def _label(
    path: Path, source: Source, image: Volume, slice_axis: int
) -> tuple[NDArray[np.uint8], list[Remark]]:
    volume = read_volume(path, slice_axis, labels=True)
    differing = check_same_grid(image, volume)
    label, rounded = to_classes(path, volume.array, source.label_values, source.ignore)
    remarks = [*volume.remarks, *differing, *([] if rounded is None else [rounded])]
    return np.ascontiguousarray(to_slices(label, slice_axis)[0]), remarks
