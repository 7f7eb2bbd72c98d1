"""The built-in dataset: a cardiac short-axis phantom, written once as NIfTI in ACDC's layout.

Every subject is drawn from its own seed and files carry no time, so writing it twice gives the same bytes.
"""

import errno
import json
import math
import os
import shutil
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from rwseg.core.errors import MALFORMED, DataError
from rwseg.data.case import Dataset, Source
from rwseg.data.datasets.acdc import load_layout
from rwseg.data.datasets.phantom_geometry import Heart, Ventricle, label_volume
from rwseg.data.datasets.phantom_image import draw_scene, render
from rwseg.data.io.nifti import write_volume

SUBJECTS = 24
SEED = 2021
FORMAT = 1
"""Raise it whenever the files would change, so that old phantoms are refused."""

_MARKER = "phantom.json"
_MEND = "give it another folder with dataset.root=..., or delete this one, which rwseg wrote"


def load(root: Path) -> Source:
    """List the phantom's cases; write the phantom first where `root` does not exist (a second, 3 MB).

    Raises `DataError` where `root` exists and is no complete phantom of this version; nothing is overwritten.
    """
    if not root.exists():
        write_phantom(root)
    if not (root / _MARKER).is_file():
        raise DataError(
            f"{root}: expected the built-in phantom, which rwseg writes where there is no such folder, got a "
            f"folder without {_MARKER}; if the data in it are yours, say how they lie: dataset=folder, "
            "dataset=nnunet, ... (see docs/data.md); else give the phantom another folder by dataset.root=..."
        )
    subjects = _read_marker(root)
    source = load_layout(root, f"This is the built-in phantom: {_MEND}")
    lost = subjects - {case.subject for case in source.cases}
    if lost:
        raise DataError(
            f"{root}: expected {len(subjects)} subjects, missing {', '.join(sorted(lost))}; {_MEND}"
        )
    return source


def write_phantom(root: Path, subjects: int = SUBJECTS) -> None:
    """Write the phantom to a new folder, whole or not at all; a faster process wins."""
    temporary = root.parent / f".{root.name}.{uuid.uuid4().hex}"
    try:
        temporary.mkdir(parents=True)
        geometry = {}
        for subject in range(1, subjects + 1):
            name = f"patient{subject:03d}"
            geometry[name] = _write_subject(temporary / "training" / name, subject)
        marker = {"format": FORMAT, "seed": SEED, "subjects": geometry}
        (temporary / _MARKER).write_text(json.dumps(marker, indent=1), encoding="utf-8")
        os.rename(temporary, root)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise DataError(
                f"{root}: the phantom cannot be written: {error.strerror}; "
                "name a writable folder with dataset.root=... or RWSEG_DATA"
            ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def draw_hearts(subject: int) -> dict[str, Heart]:
    """The heart of a subject (from 1) at end diastole (ED) and end systole (ES).

    In systole the base descends, the cavity empties by the ejection fraction, and the wall thickens so that
    the volume of muscle stays: muscle is incompressible.
    """
    rng = np.random.default_rng([SEED, subject])

    def within(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    pixel, thickness = round(within(1.4, 1.8), 3), float(rng.choice([9.0, 10.0]))
    in_plane = round(within(130, 142) / pixel), round(within(114, 124) / pixel)
    wall = within(7, 9.5)
    cavity = Ventricle(within(18, 23), within(46, 57))
    epicardium = Ventricle(cavity.radius + wall, cavity.length + wall)
    rv = Ventricle(within(0.95, 1.05) * epicardium.radius, within(0.8, 0.9) * cavity.length)
    base = within(0.3, 0.9) * thickness
    slices = min(9, math.ceil((base + epicardium.length) / thickness) + int(rng.integers(2)))
    angle = within(math.pi - 0.6, math.pi + 0.3)
    middle = -0.35 * epicardium.radius  # LV and RV together in the middle of the image
    diastole = Heart(
        shape=(slices, *in_plane),
        spacing=(thickness, pixel, pixel),
        base=base,
        centre=(middle * math.sin(angle) + within(-4, 4), middle * math.cos(angle) + within(-3, 3)),
        tilt=(within(-0.1, 0.1), within(-0.08, 0.08)),
        cavity=cavity,
        epicardium=epicardium,
        rv=rv,
        rv_angle=angle,
        rv_offset=within(0.66, 0.78),
    )
    return {"ED": diastole, "ES": _contract(diastole, within(0.5, 0.65), within(0.1, 0.15))}


def _contract(heart: Heart, ejection: float, shortening: float) -> Heart:
    """The same heart in systole: `ejection` is the ejection fraction, `shortening` that of the long axis."""
    cavity, epicardium = heart.cavity, heart.epicardium
    descent = shortening * cavity.length
    length = (
        cavity.length - descent - 0.2 * (epicardium.length - cavity.length)
    )  # the wall thickens at the apex too
    small = Ventricle(cavity.radius * math.sqrt((1 - ejection) * cavity.length / length), length)
    # A half ellipsoid holds 2/3 pi R^2 L; the epicardium's, less the cavity's, is the muscle's.
    muscle = epicardium.radius**2 * epicardium.length - cavity.radius**2 * cavity.length
    outer_length = epicardium.length - descent
    outer = Ventricle(math.sqrt((muscle + small.radius**2 * length) / outer_length), outer_length)
    return Heart(
        shape=heart.shape,
        spacing=heart.spacing,
        base=heart.base + descent,
        centre=(heart.centre[0] + descent * heart.tilt[0], heart.centre[1] + descent * heart.tilt[1]),
        tilt=heart.tilt,
        cavity=small,
        epicardium=outer,
        rv=Ventricle(0.85 * heart.rv.radius, heart.rv.length - descent),
        rv_angle=heart.rv_angle,
        rv_offset=heart.rv_offset,
    )


def _write_subject(folder: Path, subject: int) -> dict[str, Any]:
    """Write `Info.cfg`, images and labels of a subject; return the geometry of its phases."""
    folder.mkdir(parents=True)
    frames = {"ED": 1, "ES": 8 + subject % 5}
    info = [f"{phase}: {frame}" for phase, frame in frames.items()]
    (folder / "Info.cfg").write_text("\n".join([*info, "Group: NOR", "NbFrame: 30", ""]), encoding="utf-8")
    scene = draw_scene(np.random.default_rng([SEED, subject, 1]))
    hearts = draw_hearts(subject)
    for phase, heart in hearts.items():
        name = f"{folder.name}_frame{frames[phase]:02d}"
        image = render(heart, scene, np.random.default_rng([SEED, subject, 2, frames[phase]]))
        write_volume(folder / f"{name}.nii.gz", image, heart.spacing)
        write_volume(folder / f"{name}_gt.nii.gz", label_volume(heart), heart.spacing)
    return {phase: asdict(heart) for phase, heart in hearts.items()}


def _read_marker(root: Path) -> set[str]:
    """The subjects that `phantom.json` promises; raises `DataError` unless it is of this version."""
    path = root / _MARKER
    try:
        marker = json.loads(path.read_text(encoding="utf-8"))
        found, subjects = (marker["format"], marker["seed"]), set(marker["subjects"])
    except MALFORMED as error:
        raise DataError(
            f"{path}: expected what rwseg writes beside the phantom, got a file that cannot be read "
            f"({error}); {_MEND}"
        ) from error
    if found != (FORMAT, SEED):
        raise DataError(f"{path}: expected (format, seed) {(FORMAT, SEED)}, got {found}; {_MEND}")
    return subjects


PHANTOM = Dataset(
    name="phantom",
    licence="MIT",
    reference="Computed by rwseg (phantom_geometry.py beside this file): circles in a simulated MR image",
    homepage="",
    load=load,
    subjects=SUBJECTS,
)
