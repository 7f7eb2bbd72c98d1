"""The showcase of a run: a slice of some validation cases, the same ones in every run of the same data.

A report lays the showcases of several runs side by side. The file is small and holds plain arrays.
"""

import io
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rwseg.core.errors import MALFORMED, RunError
from rwseg.core.files import replacing
from rwseg.data.preprocessing.prepared import Entry
from rwseg.training.planes import levels, window_of

NAME = "showcase.npz"
MOST_CASES = 24
LONGEST_SIDE = 192
"""Pixels of a picture, more than a report shows: larger ones are shrunk."""

QUALITY = 75

Plane = NDArray[np.uint8]


class Exhibit(NamedTuple):
    """One slice of a case: image `(h, w)` or `(h, w, 3)`, reference and prediction `(h, w)`.

    They show the part of the slice around the reference. `dice`, of each foreground class, is that of the
    whole slice: NaN where neither mask has the class. `aspect` is the pixel's height over its width in mm.
    """

    case: str
    phase: str
    slice_number: int
    depth: int
    aspect: float
    dice: NDArray[np.float64]
    image: Plane
    reference: Plane
    prediction: Plane


def exhibited(entries: Sequence[Entry]) -> list[Entry]:
    """At most `MOST_CASES` of `entries`, evenly spaced by the size of their foreground, small ones first."""
    ranked = sorted(entries, key=lambda entry: (sum(entry.voxels[1:]), entry.name))
    places = np.linspace(0, len(ranked) - 1, min(len(ranked), MOST_CASES))
    return [ranked[round(place)] for place in places]


def exhibit(
    entry: Entry,
    slice_number: int,
    image: NDArray[np.float32],
    reference: Plane,
    prediction: Plane,
    num_classes: int,
) -> Exhibit:
    """Cut a whole slice of `entry` to the structures of its reference: all runs show the same part.

    `image` is `(H, W)`, or has colours `(H, W, 3)` from 0 to 255.
    """
    window = window_of(reference > 0)
    height, width = reference[window].shape
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shrunk = [
        np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize(size, how))
        for plane, how in (
            (levels(image[window][None])[0], Image.Resampling.LANCZOS),
            (reference[window], Image.Resampling.NEAREST),
            (prediction[window], Image.Resampling.NEAREST),
        )
    ]
    dice = dice_by_class(prediction, reference, num_classes)
    aspect = entry.spacing[1] / entry.spacing[2]
    return Exhibit(entry.name, entry.phase, slice_number, entry.shape[0], aspect, dice, *shrunk)


def dice_by_class(one: Plane, other: Plane, num_classes: int) -> NDArray[np.float64]:
    """Dice of each foreground class, `(num_classes - 1,)`; NaN where neither has it."""
    values = []
    for label in range(1, num_classes):
        a, b = one == label, other == label
        total = int(a.sum()) + int(b.sum())
        values.append(2 * int((a & b).sum()) / total if total else np.nan)
    return np.array(values, np.float64)


def save_showcase(path: Path, exhibits: Iterable[Exhibit], classes: Sequence[str]) -> Path:
    """Write the exhibits; `classes` are all, background first. Returns `path`.

    Arrays of one element per case: `case`, `phase`, `slice`, `depth`, `aspect`, `dice` (cases, foreground
    classes); of case i `image_i` (the bytes of a WebP), `reference_i` and `prediction_i` (labels).
    """
    shown = list(exhibits)
    arrays: dict[str, NDArray[np.generic]] = {
        "classes": np.array(classes, str),
        "case": np.array([one.case for one in shown], str),
        "phase": np.array([one.phase for one in shown], str),
        "slice": np.array([one.slice_number for one in shown]),
        "depth": np.array([one.depth for one in shown]),
        "aspect": np.array([one.aspect for one in shown]),
        "dice": np.array([one.dice for one in shown]),
    }
    for i, one in enumerate(shown):
        buffer = io.BytesIO()
        Image.fromarray(one.image).save(buffer, "WEBP", quality=QUALITY, method=4)
        arrays[f"image_{i}"] = np.frombuffer(buffer.getvalue(), np.uint8)
        arrays[f"reference_{i}"], arrays[f"prediction_{i}"] = one.reference, one.prediction
    with replacing(path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)
    return path


def load_showcase(path: Path) -> tuple[list[Exhibit], tuple[str, ...]]:
    """The exhibits that `save_showcase` wrote, and the classes; `RunError` for a damaged file."""
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            classes = tuple(str(name) for name in file["classes"])
            return [_exhibit(file, i, len(classes)) for i in range(len(file["case"]))], classes
    except (zipfile.BadZipFile, *MALFORMED) as error:
        raise RunError(
            f"{path}: expected the showcase of a training, got: {type(error).__name__}: {error}; give "
            "--no-gallery to leave pictures out, or train the run again with force=true"
        ) from error


def _exhibit(file: "np.lib.npyio.NpzFile", i: int, num_classes: int) -> Exhibit:
    reference, prediction = file[f"reference_{i}"], file[f"prediction_{i}"]
    with Image.open(io.BytesIO(file[f"image_{i}"].tobytes())) as picture:
        image = np.asarray(picture.convert("RGB"))
    if (image == image[..., :1]).all():
        image = image[..., 0]
    dice = file["dice"][i].astype(np.float64)
    same = reference.shape == prediction.shape == image.shape[:2] and reference.dtype == np.uint8
    if not same or dice.shape != (num_classes - 1,):
        raise ValueError(f"case {i} has arrays that do not fit together")
    numbers = int(file["slice"][i]), int(file["depth"][i]), float(file["aspect"][i])
    return Exhibit(str(file["case"][i]), str(file["phase"][i]), *numbers, dice, image, reference, prediction)
