"""A disk without room is told with how much is wanted and how much there is."""

import shutil
from pathlib import Path

import pytest

from rwseg.core.disk import check_room
from rwseg.core.errors import DataError


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    check_room(tmp_path, free / 2, "preparing", "prepared_root")
    with pytest.raises(
        DataError, match=rf"{tmp_path.parent}: preparing wants about \d+\.\d GB more of the disk"
    ):
        check_room(tmp_path, free + 30e9, "preparing", "prepared_root")
