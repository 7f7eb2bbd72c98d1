"""WMH Segmentation Challenge 2017 (white matter hyperintensities): its download and Kervadec et al.'s split.

    root/training/Utrecht/0/pre/FLAIR.nii.gz, pre/T1.nii.gz     bias-corrected, T1 on the grid of FLAIR
                            wmh.nii.gz                          1 hyperintensity, 2 other pathology
         training/Singapore/50/..., training/Amsterdam/GE3T/100/...
         test/Utrecht/1/..., test/Amsterdam/GE1T5/150/...       optional, may lack the labels

The archives of 2017 have the scanners' folders right below the root (Utrecht, Singapore, GE3T); both are
read. Label 2 counts as background.

Split (github.com/LIVIAETS/boundary-loss, preprocess/slice_wmh.py and wmh.make): the 60 training scans in one
folder, sorted by path, so by number as text, and ten of them drawn by `random.sample` after
`random.seed(0)`. The numbers are known and Python's sampling has not changed since, so the ten are certain;
that the published runs used this very version of the script is not. They validate wherever they are found,
also in a partial download; every other training scan trains.
"""

import random
from pathlib import Path

from rwseg.data.case import Case, Dataset, Source
from rwseg.data.datasets.layout import Layout, missing_files, subfolders

HOMEPAGE = "https://wmh.isi.uu.nl"
CLASSES = ("background", "WMH")
LABEL_VALUES = ((0, 2), (1,))

UTRECHT = (0, 2, 4, 6, 8, 11, *range(17, 42, 2), 49)
SINGAPORE = tuple(range(50, 70))
GE3T = (*range(100, 111), *range(112, 117), 126, 132, 137, 144)
VALIDATION = frozenset(random.Random(0).sample(sorted(map(str, (*UTRECHT, *SINGAPORE, *GE3T))), 10))

LAYOUT = Layout(
    tree=(
        "root/training/{Utrecht, Singapore, Amsterdam/GE3T}/<number>/{pre/FLAIR.nii.gz, pre/T1.nii.gz, "
        "wmh.nii.gz}, with or without 'training', and, optionally, root/test/..."
    ),
    unit="scan",
    origin="The challenge's data is free: https://doi.org/10.34894/AECRSD",
)


def load(root: Path) -> Source:
    """List the scans below `root`, by number; groups are scanners.

    Raises `DataError` where `root` is not in the challenge's layout, and for faulty scans, all together.
    """
    training, test = root / "training", root / "test"
    found = [(folder, False) for folder in _scans(training if training.is_dir() else root)]
    found = [item for item in found if test not in item[0].parents]
    found += [(folder, True) for folder in _scans(test)]
    LAYOUT.check_found(root, found)
    cases: dict[str, Case] = {}
    faults = []
    for folder, is_test in sorted(found, key=lambda item: int(item[0].name)):
        images = (folder / "pre" / "FLAIR.nii.gz", folder / "pre" / "T1.nii.gz")
        label = folder / "wmh.nii.gz"
        faults += missing_files(folder, images if is_test else [*images, label])
        name = f"wmh_{folder.name}"
        if name in cases:
            faults.append(
                f"{folder}: expected numbers that occur once, got also {cases[name].images[0].parents[1]}"
            )
        split = "test" if is_test else "val" if folder.name in VALIDATION else "train"
        reference = label if label.is_file() else None
        cases[name] = Case(name, name, "", split, images, reference, group=folder.parent.name)
    LAYOUT.check_sound(root, faults)
    return Source(tuple(cases.values()), CLASSES, ("FLAIR", "T1"), LABEL_VALUES)


def _scans(parent: Path) -> list[Path]:
    """Folders named by a number, in a scanner's folder or in that of a centre with several scanners."""
    found = subfolders(parent, "*/*") + subfolders(parent, "*/*/*")
    return [folder for folder in found if folder.name.isdecimal()]


WMH = Dataset(
    name="wmh",
    licence="As stated with the data: https://doi.org/10.34894/AECRSD",
    reference=(
        "Kuijf et al., Standardized Assessment of Automatic Segmentation of White Matter Hyperintensities "
        "and Results of the WMH Segmentation Challenge, IEEE Transactions on Medical Imaging "
        "38(11):2556-2568, 2019"
    ),
    homepage=HOMEPAGE,
    load=load,
    subjects=len(UTRECHT) + len(SINGAPORE) + len(GE3T),
)
