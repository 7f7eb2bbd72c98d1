import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rwseg.data.store import MANIFEST, Entry, Prepared, open_prepared
from rwseg.errors import DataError
from rwseg.files import save_array


def test_a_manifest_brings_back_what_was_prepared(small: Prepared) -> None:
    assert open_prepared(small.folder, small.root) == small
    assert all(isinstance(entry, Entry) for entry in small.entries)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("image", np.float32), ("label", np.uint8), ("reference", np.uint8), ("inside", np.float32)],
)
def test_arrays_are_mapped_from_disk_and_cannot_be_changed(
    small: Prepared, kind: str, dtype: type[np.generic]
) -> None:
    entry = small.entries[0]
    save_array(small.folder / "inside" / f"{entry.name}.npy", np.ones(entry.shape, np.float32))
    array = small.distance(kind, entry) if kind == "inside" else getattr(small, kind)(entry)
    assert isinstance(array, np.memmap)
    assert array.dtype == dtype
    assert array.shape[-3:] == entry.shape
    with pytest.raises(ValueError, match="read-only"):
        array[..., 0] = 0


@pytest.mark.parametrize("damage", ["missing", "empty", "header cut", "voxels cut", "not NPY", "pickled"])
def test_an_array_that_cannot_be_read_is_named(small: Prepared, damage: str) -> None:
    entry = small.entries[0]
    path = small.folder / "image" / f"{entry.name}.npy"
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "pickled":
        np.save(path, np.array([{}]), allow_pickle=True)
    else:
        kept = {"empty": b"", "header cut": content[:20], "voxels cut": content[:-4], "not NPY": b"x" * 200}
        path.write_bytes(kept[damage])
    with pytest.raises(
        DataError, match=rf"{path}: expected a prepared array, found .+; delete {small.folder}"
    ):
        small.image(entry)


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "a list", "a key lost", "an entry's key lost"])
def test_a_manifest_that_cannot_be_read_is_named(small: Prepared, damage: str) -> None:
    path = small.folder / MANIFEST
    content = json.loads(path.read_text())
    lost = {key: value for key, value in content.items() if key != "digest"}
    entries = [{**entry, "splt": entry.pop("split")} for entry in json.loads(path.read_text())["entries"]]
    kept = {
        "empty": "",
        "cut": path.read_text()[:-20],
        "a list": "[]",
        "a key lost": json.dumps(lost),
        "an entry's key lost": json.dumps({**content, "entries": entries}),
    }
    path.unlink() if damage == "missing" else path.write_text(kept[damage])
    with pytest.raises(
        DataError, match=rf"{path}: expected a sound manifest, found .+; delete {small.folder}"
    ):
        open_prepared(small.folder, small.root)


def test_a_split_holds_its_cases_and_an_empty_one_is_an_error(small: Prepared) -> None:
    assert [entry.name for entry in small.split("train")] == ["case0", "case1", "case2"]
    assert [entry.name for entry in small.split("val")] == ["case3"]
    with pytest.raises(DataError, match=r"split 'test' is empty; .* found 3 of 'train', 1 of 'val'; choose"):
        small.split("test")
    with pytest.raises(DataError, match=r"split 'train' is empty; .* found no case at all"):
        replace(small, entries=()).split("train")


def test_the_hash_of_the_split_tells_who_is_where_and_nothing_else(small: Prepared, tmp_path: Path) -> None:
    first, *others = small.entries
    moved = replace(small, entries=(replace(first, split="val"), *others))
    same = replace(small, entries=(*others, replace(first, voxels=())), root=tmp_path / "elsewhere")
    assert small.split_digest() == same.split_digest() != moved.split_digest()


def test_the_source_of_a_case_is_its_first_channel(small: Prepared) -> None:
    assert small.source(small.entries[1]) == small.root / "case1_0.nii.gz"
    assert small.source(small.entries[1]).is_file()
