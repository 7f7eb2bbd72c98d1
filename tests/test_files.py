import json
import math
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from rwseg.errors import DataError
from rwseg.files import building, replacing, save_array, write_json, write_text


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


def test_a_folder_appears_whole_and_only_once(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "folder"
    with building(folder) as first:
        assert first is not None
        (first / "content").write_text("1")
        assert not folder.exists()
    with building(folder) as second:
        assert second is None
    assert (folder / "content").read_text() == "1"
    assert names(folder.parent) == [".folder.lock", "folder"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, FileNotFoundError])
def test_a_failed_folder_is_removed_and_can_be_built_again(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    folder = tmp_path / "folder"

    def fail() -> None:
        with building(folder) as temporary:
            assert temporary is not None
            (temporary / "half").touch()
            raise failure("in the middle")

    with pytest.raises(failure, match="in the middle"):
        fail()
    assert names(tmp_path) == [".folder.lock"]
    with building(folder) as temporary:
        assert temporary is not None
        assert names(temporary) == []


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".building-folder" / "image").mkdir(parents=True)
    (tmp_path / ".building-folder" / "image" / "half.npy").touch()
    with building(tmp_path / "folder") as temporary:
        assert temporary is not None
        assert names(temporary) == []


def test_a_second_builder_waits_says_so_and_finds_the_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, begun, go_on = tmp_path / "folder", threading.Event(), threading.Event()

    def first() -> None:
        with building(folder) as temporary:
            assert temporary is not None
            begun.set()
            go_on.wait(20)
            (temporary / "content").write_text("first")

    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(20)
    threading.Timer(0.2, go_on.set).start()
    with caplog.at_level("INFO"), building(folder) as second:
        assert second is None
        assert (folder / "content").read_text() == "first"
    thread.join(20)
    assert f"another process is making {folder}; waiting for it" in caplog.text


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(
            DataError, match=rf"{place}: expected a folder to write x into, got: .+\(prepared_root="
        ),
        building(tmp_path / place / "x"),
    ):
        pass
    assert names(tmp_path) == ["file"]
