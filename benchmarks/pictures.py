"""Many small pictures in a folder, to see what preparation, training and the doctor take for them.

python -m benchmarks.pictures FOLDER [--number 20000] [--side 256]

Writes FOLDER/images and FOLDER/masks: 8-bit PNG files of one channel, each with an ellipse of class 1 and a
box of class 2 in noise. One in eight lacks the box. docs/data-size.md has what `/usr/bin/time -v` said.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rwseg.core.progress import track

Plane = NDArray[np.uint8]

LACKS_BOX = 8
BRIGHTNESS, NOISE = (60, 120, 180), 20


def picture(number: int, side: int) -> tuple[Plane, Plane]:
    """Image and mask `(side, side)` of a number."""
    random = np.random.default_rng(number)
    y, x = np.mgrid[:side, :side] / side
    cy, cx, by, bx = random.uniform(0.25, 0.75, 4)
    height, width = random.uniform(0.08, 0.2, 2)
    mask = (((y - cy) / height) ** 2 + ((x - cx) / width) ** 2 < 1).astype(np.uint8)
    if number % LACKS_BOX:
        mask[(abs(y - by) < width / 2) & (abs(x - bx) < height / 2)] = 2
    image = np.array(BRIGHTNESS)[mask] + random.normal(0, NOISE, mask.shape)
    return image.clip(0, 255).astype(np.uint8), mask


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the pictures; what is there already is left alone."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--number", type=int, default=20_000)
    parser.add_argument("--side", type=int, default=256)
    asked = parser.parse_args(arguments)
    folders = [asked.folder / name for name in ("images", "masks")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for number in track(range(asked.number), "pictures"):
        paths = [folder / f"{number:06}.png" for folder in folders]
        if all(path.is_file() for path in paths):
            continue
        for path, plane in zip(paths, picture(number, asked.side), strict=True):
            Image.fromarray(plane).save(path, compress_level=1)


if __name__ == "__main__":
    main()
