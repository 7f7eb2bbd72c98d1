"""What is said of faulty folders of images and masks: a sentence per kind, however many files have it."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folder_trees import mask_of, picture_of, save, save_nifti
from PIL import Image

from rwseg.core.errors import DataError
from rwseg.core.faults import MOST_NAMED
from rwseg.data.datasets.folder import load
from rwseg.data.io.cases import slice_axis_of
from rwseg.report.doctor.survey import findings, look

PLAIN = {"labels": {"background": 0, "one": 1, "two": 2}}


def sixty(root: Path) -> Path:
    for number in range(60):
        mask = mask_of(number)
        save(root / f"images/a{number:02}.png", picture_of(mask, number))
        save(root / f"masks/a{number:02}.png", mask)
    return root


def each(folder: Path, change: Callable[[Path], object], count: int = 60) -> None:
    for path in sorted(folder.iterdir())[:count]:
        change(path)


def to_jpeg(path: Path) -> None:
    Image.open(path).point(lambda value: value * 100).save(path.with_suffix(".jpg"))
    path.unlink()


def smoothed(path: Path) -> None:
    image = Image.open(path).point(lambda value: value * 100)
    image.resize((90, 80), Image.Resampling.BILINEAR).resize(image.size, Image.Resampling.BILINEAR).save(path)


def doubled(path: Path) -> None:
    Image.open(path).save(path.with_suffix(".bmp"))


SMOOTH = {"labels": {"background": 0, "one": 100, "two": 200}}
FAULTS: dict[str, tuple[Callable[[Path], object], dict[str, Any], str]] = {
    "image without mask": (
        lambda root: each(root / "masks", Path.unlink, 30),
        PLAIN,
        r"30 images without a mask \(expected NAME\.\* for each\): a00\.png, .* and 22 more; add the masks",
    ),
    "mask without image": (
        lambda root: each(root / "images", Path.unlink, 30),
        PLAIN,
        r"30 masks without an image .*: a00\.png, .* and 22 more; add the images",
    ),
    "two images of one stem": (
        lambda root: each(root / "images", doubled, 20),
        PLAIN,
        r"20 names of more than one file.*: a00\.bmp and a00\.png, .* and 12 more; rename all but one",
    ),
    "sizes differ": (
        lambda root: each(root / "masks", lambda path: save(path, np.asarray(Image.open(path))[:-3])),
        PLAIN,
        r"a00\.png: expected 52 x 40 pixels .* got 52 x 37; export .* \(the same of 59 more: a01\.png",
    ),
    "value outside labels": (
        lambda root: each(root / "masks", lambda path: Image.open(path).point(lambda v: v * 3).save(path)),
        PLAIN,
        r"a00\.png: expected the labels 0, 1, 2, got 3, 6 in .* \(the same of \d\d more",
    ),
    "rgb mask": (
        lambda root: each(root / "masks", lambda path: Image.open(path).convert("RGB").save(path)),
        PLAIN,
        r"a00\.png: expected one label per pixel, got mode RGB; save .* \(the same of 59 more",
    ),
    "jpeg mask": (
        lambda root: each(root / "masks", to_jpeg),
        PLAIN,
        r"a00\.jpg: expected labels saved without loss, got JPEG, .* \(the same of 59 more",
    ),
    "jpeg mask without labels": (
        lambda root: each(root / "masks", to_jpeg),
        {},
        r"a00\.jpg: expected labels saved without loss, got JPEG, .* \(the same of 59 more",
    ),
    "unreadable": (
        lambda root: each(root / "images", lambda path: path.write_bytes(path.read_bytes()[:-99]), 40),
        PLAIN,
        r"a00\.png: expected a complete picture .* \(the same of 39 more",
    ),
    "anti-aliased": (
        lambda root: each(root / "masks", smoothed),
        SMOOTH,
        r"a00\.png: expected the labels 0, 100, 200, got .* smoothed or resized .* \(the same of 59 more",
    ),
    "anti-aliased without labels": (
        lambda root: each(root / "masks", smoothed),
        {},
        r"dataset\.labels: expected masks of a few values, got \d+ in 60 masks, from 0 to 200: smoothed",
    ),
    "regex": (
        lambda root: None,
        {**PLAIN, "subject": "(patient[0-9]+)"},
        r"dataset\.subject=\(patient\[0-9\]\+\): expected a subject .* none in 60 of 60: a00, .* and 52 more",
    ),
    "colours among grey": (
        lambda root: each(root / "images", lambda path: Image.open(path).convert("RGB").save(path), 20),
        {**PLAIN, "channels": None},
        r"a20\.png: expected RGB .*, got grey; save all pictures alike \(the same of 39 more",
    ),
    "suffix": (
        lambda root: each(root / "masks", lambda path: path.rename(path.with_name(f"{path.stem}_seg.png"))),
        PLAIN,
        r"60 images without a mask .*; the names suggest dataset\.mask_suffix=_seg",
    ),
    "channels": (
        lambda root: [
            each(root / "images", lambda path: shutil.copy(path, path.with_name(f"{path.stem}_gfp.png"))),
            each(
                root / "images",
                lambda path: "_" in path.name or path.rename(path.with_name(f"{path.stem}_dapi.png")),
                120,
            ),
        ],
        PLAIN,
        r"""120 images without a mask .*; the names suggest 'dataset\.channels=\["dapi","gfp"\]'""",
    ),
    "missing channel": (
        lambda root: each(root / "images", lambda path: path.rename(path.with_name(f"{path.stem}_gfp.png"))),
        {**PLAIN, "channels": ["dapi", "gfp"]},
        r"60 cases that lack a channel \(expected \*_dapi and \*_gfp of each\): a00, .* and 52 more",
    ),
    "no such channel": (
        lambda root: None,
        {**PLAIN, "channels": ["dapi", "gfp"]},
        r"60 images whose names do not end as dataset\.channels says \(\*_dapi and \*_gfp\): a00\.png, ",
    ),
    "empty": (
        lambda root: [each(root / folder, Path.unlink) for folder in ("images", "masks")],
        {},
        r"expected images/ and masks/ .*, got images/, masks/, no image \(\.nii",
    ),
    "other folders": (
        lambda root: [(root / "images").rename(root / "imgs"), (root / "masks").rename(root / "labels")],
        {},
        r"expected images/ and masks/ .*, got imgs/, labels/; rename or link what there is",
    ),
    "no folder": (shutil.rmtree, {}, r"expected a folder with images/ .*; got no such folder"),
    "other folders in a split": (
        lambda root: [(root / "val").mkdir(), (root / "masks").rename(root / "val/labels")],
        PLAIN,
        r"val: expected images/ and masks/, got labels/; rename or link them",
    ),
    "train twice": (
        lambda root: (root / "train").mkdir(),
        {},
        r"expected training images in images/ or in train/, got both",
    ),
    "volumes among pictures": (
        lambda root: [
            save_nifti(root / f"{kind}/z.nii.gz", mask_of(1), (1, 1, 1)) for kind in ("images", "masks")
        ],
        PLAIN,
        r"pictures \(60: a00\.png, .*\) among NIfTI files \(1: z\.nii\.gz\), expected one kind",
    ),
}


def told_of(root: Path, options: dict[str, Any]) -> list[str]:
    """What the doctor says is wrong, line by line."""
    try:
        source = load(root, **options)
        axis = slice_axis_of(source)
    except DataError as fault:
        return str(fault).splitlines()
    seen = [look(replace(source, cases=()), axis, case) for case in source.cases]
    return [found.text for found in findings(seen, source, None, ("train",)) if found.level == "fault"]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sixty(tmp_path_factory.mktemp("sound") / "data")


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_said_once_however_many_files(fault: str, sound: Path, tmp_path: Path) -> None:
    change, options, message = FAULTS[fault]
    root = shutil.copytree(sound, tmp_path / "data")
    change(root)
    lines = told_of(root, options)
    assert [line for line in lines if re.search(message, line)], lines
    assert len(lines) <= 3
    assert all(line.count(".png") <= 2 * MOST_NAMED + 2 for line in lines)


def test_sound_pictures_have_no_fault(sound: Path) -> None:
    assert told_of(sound, PLAIN) == []
    assert told_of(sound, {}) == []


def test_everything_is_said_together(sound: Path, tmp_path: Path) -> None:
    root = shutil.copytree(sound, tmp_path / "data")
    (root / "masks/a00.png").unlink()
    (root / "images/a01.png").unlink()
    each(root / "masks", lambda path: Image.open(path).point(lambda v: v * 100).save(path))
    with pytest.raises(DataError) as caught:
        load(root, subject="(b)")
    for words in ("1 images without", "1 masks without", "none in 58 of 58", "class_1: 100, class_2: 200}"):
        assert words in str(caught.value)
