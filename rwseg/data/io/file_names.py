"""Names of image files: what comes before the ending, and the case and the channel in it."""

from collections.abc import Sequence
from pathlib import Path

from rwseg.data.io.cases import ENDINGS


def is_image(path: Path) -> bool:
    """Whether the ending is one of an image that can be read; hidden files (`._a.png`) are none."""
    return path.name.lower().endswith(ENDINGS) and not path.name.startswith(".")


def stem(name: str) -> str:
    """`name` of an image file without its ending."""
    ending = max((end for end in ENDINGS if name.lower().endswith(end)), key=len, default="")
    return name[: len(name) - len(ending)]


def channel_of(name: str, suffixes: Sequence[str]) -> tuple[str, int | None]:
    """Case and channel of a file by what its `stem` ends in; no channel where that is none of `suffixes`."""
    fitting = [i for i, suffix in enumerate(suffixes) if name.endswith(suffix) and len(name) > len(suffix)]
    if not fitting:
        return name, None
    channel = max(fitting, key=lambda i: len(suffixes[i]))
    return name[: len(name) - len(suffixes[channel])], channel
