"""Whether a disk has room for what is about to be written."""

import shutil
from pathlib import Path

from rwseg.core.errors import DataError


def check_room(folder: Path, wanted: float, what: str, setting: str) -> None:
    """Raise `DataError` where `wanted` bytes of `what` do not fit on the disk of `folder`, which is there.

    `setting` is what names another one. Quotas are not seen.
    """
    free = shutil.disk_usage(folder).free
    if wanted > free:
        raise DataError(
            f"{folder.parent}: {what} wants about {_gb(wanted)} more of the disk, expected at most what is "
            f"free, got {_gb(free)}; free more or choose a folder on another disk ({setting}=...)"
        )


def _gb(size: float) -> str:
    return f"{size / 1e9:.2g} GB" if size < 1e9 else f"{size / 1e9:.1f} GB"
