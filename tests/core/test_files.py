import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from rwseg.core.files import replacing, save_array, write_json, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_text_and_json_are_written_into_new_folders_and_over_old_files(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "café.json"
    write_text(path, "old")
    write_json(path, {"name": "Größe", "values": [1, None]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"name": "Größe", "values": [1, None]}
    assert names(path.parent) == ["café.json"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            assert path.read_text() == "old", "the old content stays until the new one is complete"
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, math.nan)
    assert (path.read_text(), names(tmp_path)) == ("old", ["file.txt"])


def test_the_temporary_name_keeps_the_suffixes_and_stays_in_the_folder(tmp_path: Path) -> None:
    with replacing(tmp_path / "labels.nii.gz") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.endswith("labels.nii.gz")
        temporary.touch()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_have_the_mode_that_the_umask_asks_for(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "file", "")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("shape", [(3, 5, 7), (0, 2), ()])
def test_an_array_comes_back_as_it_was(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    save_array(tmp_path / "new" / "array.npy", array.T)
    np.testing.assert_array_equal(np.load(tmp_path / "new" / "array.npy"), array.T)
