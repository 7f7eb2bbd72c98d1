"""Pictures inside the page: in the largest size that fits a number of bytes."""

import base64
import io
import math
from typing import NamedTuple

from PIL import Image

LOWEST_QUALITY = 30


class Embedded(NamedTuple):
    """A picture as a URI that holds it, and its size in pixels."""

    data: str
    width: int
    height: int


def embedded(original: Image.Image, most_bytes: int) -> Embedded:
    """The picture in the largest size that fits; the text of the page needs a third more bytes."""
    scale, quality = 1.0, 60
    while True:
        size = (max(1, round(original.width * scale)), max(1, round(original.height * scale)))
        buffer = io.BytesIO()
        original.resize(size, Image.Resampling.LANCZOS).save(buffer, "WEBP", quality=quality, method=2)
        if buffer.tell() <= most_bytes or size == (1, 1):
            break
        # Thin contours suffer from a small picture more than from a low quality.
        scale *= 0.8 if quality > LOWEST_QUALITY else min(0.9, math.sqrt(most_bytes / buffer.tell()))
        quality = LOWEST_QUALITY
    data = base64.b64encode(buffer.getvalue()).decode()
    return Embedded(f"data:image/webp;base64,{data}", *size)
