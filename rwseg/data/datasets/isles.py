"""ISLES 2018 (ischemic stroke lesions in CT perfusion): its download and Kervadec et al.'s split.

    root/TRAINING/case_1/SMIR.Brain.XX.O.CT.345562/SMIR.Brain.XX.O.CT.345562.nii     and CT_CBF, CT_CBV,
                                                                                    CT_MTT, CT_Tmax, CT_4DPWI
                         SMIR.Brain.XX.O.OT.<number>/....nii                         1 lesion
         TESTING/case_1/...                                                         optional, without OT

The perfusion series (4DPWI) itself is not used. Patients scanned in two slabs are two cases; the files do
not say which ones, so each case counts as a subject of its own, here as in the split below.

Split (github.com/LIVIAETS/boundary-loss, preprocess/slice_isles.py and isles.make): the 94 training cases
sorted by path (case_1, case_10, case_11, ...) and twenty of them drawn by `random.sample` after
`random.seed(0)`. The names are known and Python's sampling has not changed since, so the twenty are certain;
that the published runs used this very version of the script is not. They validate wherever they are found,
also in a partial download.
"""

import random
import re
from pathlib import Path

from rwseg.data.case import Case, Dataset, Source, plain_labels
from rwseg.data.datasets.layout import Layout, subfolders

HOMEPAGE = "https://www.isles-challenge.org/ISLES2018"
CLASSES = ("background", "lesion")
CHANNELS = ("CT", "CT_CBF", "CT_CBV", "CT_MTT", "CT_Tmax")
_LESION = "OT"

CASES = 94
VALIDATION = frozenset(random.Random(0).sample(sorted(f"case_{n}" for n in range(1, CASES + 1)), 20))

LAYOUT = Layout(
    tree=(
        "root/TRAINING/case_<n>/SMIR.*.<kind>.<number>/SMIR.*.<kind>.<number>.nii of the kinds "
        "CT, CT_CBF, CT_CBV, CT_MTT, CT_Tmax and OT, and, optionally, root/TESTING/..."
    ),
    unit="case",
    origin="ISLES 2018 is free: https://zenodo.org/records/17736412",
)


def load(root: Path) -> Source:
    """List the cases below `root`, training first, by number.

    Raises `DataError` where `root` is not in the challenge's layout, and for faulty cases, all together.
    """
    found = [(folder, False) for folder in subfolders(root / "TRAINING", "case_*")]
    found += [(folder, True) for folder in subfolders(root / "TESTING", "case_*")]
    LAYOUT.check_found(root, found)
    cases, faults = [], []
    for folder, is_test in found:
        if not re.fullmatch(r"case_[0-9]+", folder.name):
            faults.append(f"{folder}: expected a folder name such as case_1")
            continue
        files = {kind: _files(folder, kind) for kind in (*CHANNELS, _LESION)}
        faults += _faults(folder, files, optional=_LESION if is_test else "")
        images = tuple(path for kind in CHANNELS for path in files[kind][:1])
        label = next(iter(files[_LESION]), None)
        split = "test" if is_test else "val" if folder.name in VALIDATION else "train"
        # The numbers of the two parts overlap.
        name = f"test_{folder.name}" if is_test else folder.name
        cases.append(Case(name, name, "", split, images, label))
    LAYOUT.check_sound(root, faults)
    in_order = sorted(cases, key=lambda case: (case.split == "test", int(case.name.rpartition("_")[2])))
    return Source(tuple(in_order), CLASSES, CHANNELS, plain_labels(len(CLASSES)))


def _files(folder: Path, kind: str) -> list[Path]:
    return sorted(folder.glob(f"SMIR.*.{kind}.*/SMIR.*.{kind}.*.nii"))


def _faults(folder: Path, files: dict[str, list[Path]], optional: str) -> list[str]:
    """One fault for a case that lacks a kind of file, or has several of it."""
    wrong = [
        f"{len(paths)} of {kind}"
        for kind, paths in files.items()
        if len(paths) > 1 or (not paths and kind != optional)
    ]
    return [f"{folder}: expected one file SMIR.*.nii of each kind, got {', '.join(wrong)}"] if wrong else []


ISLES = Dataset(
    name="isles",
    licence="CC BY 4.0",
    reference=(
        "Hakim et al., Predicting Infarct Core From Computed Tomography Perfusion in Acute Ischemia With "
        "Machine Learning: Lessons From the ISLES Challenge, Stroke 52(7):2328-2337, 2021"
    ),
    homepage=HOMEPAGE,
    load=load,
    subjects=CASES,
)
