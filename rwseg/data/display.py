"""A prepared image as people know it: grey, or in the colours of its picture."""

import numpy as np
from numpy.typing import NDArray

from rwseg.core.validation import Unit
from rwseg.data.io.cases import native_image
from rwseg.data.preprocessing.center_crop import padded
from rwseg.data.preprocessing.prepared import Entry, Prepared
from rwseg.data.preprocessing.resample import resample_image


def is_coloured(channels: int, files: int, unit: Unit) -> bool:
    """Whether a case is an RGB picture: three channels of one file without physical spacing."""
    return (channels, files, unit) == (3, 1, "px")


def displayed(prepared: Prepared, entry: Entry) -> NDArray[np.float32]:
    """A case on the prepared grid: its first channel `(Z, H, W)`, or the colours `(Z, H, W, 3)` of a picture.

    Colours are those of the file, from 0 to 255: normalised by itself, each channel has lost them. Raises
    `DataError` where the file cannot be read.
    """
    if not is_coloured(len(prepared.channels), len(entry.images), entry.unit):
        return prepared.image(entry)[0]  # type: ignore[no-any-return]
    image = native_image(prepared.source(entry), entry.slice_axis)  # (3, 1, H, W)
    if image.shape[1:] != entry.native_shape:  # the dataset's own code has converted it
        return prepared.image(entry)[0]  # type: ignore[no-any-return]
    window = image[:, *(slice(*span) for span in entry.crop)]
    size = entry.shape[1:]
    colours = resample_image(padded(window, entry.padding), size, prepared.preprocessing.interpolation)
    return np.ascontiguousarray(colours.transpose(1, 2, 3, 0))
