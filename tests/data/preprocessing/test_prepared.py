import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rwseg.core.errors import DataError
from rwseg.core.files import from_json, save_array, write_json
from rwseg.data.case import Case
from rwseg.data.preprocessing.config import FittedPreprocessing, Intensities
from rwseg.data.preprocessing.prepared import MANIFEST, Entry, Prepared, manifest_of, open_prepared


def cases_of(prepared: Prepared) -> list[Case]:
    return [Case(e.name, e.subject, e.phase, e.split, (), None) for e in prepared.entries]


def test_a_manifest_brings_back_what_was_prepared(small: Prepared) -> None:
    assert open_prepared(small.folder, small.root, cases_of(small)) == small
    assert all(isinstance(entry, Entry) for entry in small.entries)


@pytest.mark.parametrize(
    "preprocessing",
    [
        FittedPreprocessing(True, (1.5, 0.1 + 0.2), None, 0.5, "area", "zscore_nonzero"),
        FittedPreprocessing(
            False, None, (3, 4), 1.0, "spline", "ct", (Intensities(-1, 2, 0.1, 3), Intensities(0, 1, 0.5, 1))
        ),
    ],
)
def test_every_fitted_preprocessing_comes_back(small: Prepared, preprocessing: FittedPreprocessing) -> None:
    prepared = replace(small, preprocessing=preprocessing)
    write_json(small.folder / MANIFEST, manifest_of(prepared))
    assert open_prepared(small.folder, small.root, cases_of(small)) == prepared


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": 2}, "unexpected key 'x'"),
        ({"crop": 1}, "crop: expected bool, got 1"),
        ({"zoom": float("nan")}, "zoom: expected float, got nan"),
        ({"spacing": [1.0]}, "spacing: expected 2 values"),
        ({"interpolation": "nearest"}, "interpolation: expected .*spline.*, got 'nearest'"),
        ({"intensities": [{"low": 1}]}, "intensities: .*missing 3 required"),
    ],
)
def test_a_recipe_of_other_keys_or_values_is_an_error(
    small: Prepared, change: dict[str, object], message: str
) -> None:
    content = json.loads(json.dumps(manifest_of(small)["preprocessing"]))
    assert from_json(FittedPreprocessing, content) == small.preprocessing
    with pytest.raises(TypeError, match=message):
        from_json(FittedPreprocessing, {**content, **change})


@pytest.mark.parametrize("change", [lambda a: a[:1], lambda a: a.astype(np.float64)])
def test_an_array_of_another_shape_or_type_is_refused(
    small: Prepared, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    entry = small.entries[0]
    save_array(small.folder / "image" / f"{entry.name}.npy", change(np.array(small.stored_image(entry))))
    with pytest.raises(DataError, match=r"case0\.npy: expected a prepared array, found (float|int)\d\d of "):
        small.image(entry)


def test_splits_are_those_of_the_cases(small: Prepared) -> None:
    moved = [replace(case, split="test") for case in cases_of(small)]
    assert {e.split for e in open_prepared(small.folder, small.root, moved).entries} == {"test"}
    with pytest.raises(DataError, match=r"expected a sound manifest, found KeyError\('case0'\)"):
        open_prepared(small.folder, small.root, moved[1:])


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [("stored_image", np.int16), ("label", np.uint8), ("reference", np.uint8), ("inside", np.float32)],
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
    entries = [{**entry, "shap": entry.pop("shape")} for entry in json.loads(path.read_text())["entries"]]
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
        open_prepared(small.folder, small.root, cases_of(small))


def test_only_a_whole_volume_of_the_old_size_is_on_its_native_grid(small: Prepared) -> None:
    entry = small.entries[0]
    assert entry.is_native
    z, y, x = entry.crop
    assert not replace(entry, crop=(z, (1, y[1]), x)).is_native
    assert not replace(entry, shape=(entry.shape[0], 8, 9)).is_native


def test_labels_with_ignored_voxels_are_known_by_their_counts(small: Prepared) -> None:
    assert not small.has_ignored
    first, *others = small.entries
    fewer = (first.voxels[0] - 1, *first.voxels[1:])
    assert replace(small, entries=(replace(first, voxels=fewer), *others)).has_ignored
    without = replace(first, has_label=False, voxels=())
    assert not replace(small, entries=(without, *others)).has_ignored


def test_a_split_holds_its_cases_and_an_empty_one_is_an_error(small: Prepared) -> None:
    assert [entry.name for entry in small.split("train")] == ["case0", "case1", "case2"]
    assert [entry.name for entry in small.split("val")] == ["case3"]
    with pytest.raises(DataError, match=r"split 'test' is empty; .* found 3 of 'train', 1 of 'val'; add"):
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
