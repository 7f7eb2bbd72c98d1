"""ACDC (Automated Cardiac Diagnosis Challenge, 2017): the challenge's folder layout and the paper's split.

    root/training/patient001/Info.cfg                      "ED: 1", "ES: 12", "Group: DCM", ...
                             patient001_frame01.nii.gz     the image at end diastole
                             patient001_frame01_gt.nii.gz  its labels: 1 RV, 2 myocardium, 3 LV
                             patient001_frame12.nii.gz, patient001_frame12_gt.nii.gz
    root/testing/patient101/...                            optional, may lack the labels

Even patients train, odd ones validate (the authors' `datasplits/acdc17.py`).
"""

import re
from pathlib import Path

from rwseg.core.errors import DataError
from rwseg.data.case import Case, Dataset, Source, plain_labels
from rwseg.data.datasets.layout import Layout, missing_files, subfolders

HOMEPAGE = "https://www.creatis.insa-lyon.fr/Challenge/acdc/"
CLASSES = ("background", "RV", "myocardium", "LV")
_ORIGIN = f"ACDC is free after registration: {HOMEPAGE} (section Databases)"
_TREE = (
    "root/training/patientXXX/{Info.cfg, patientXXX_frameYY.nii.gz, patientXXX_frameYY_gt.nii.gz} "
    "and, optionally, root/testing/patientXXX"
)
_PHASES = ("ED", "ES")


def load(root: Path) -> Source:
    """List the ED and ES volumes of ACDC below `root`, sorted by subject and frame; groups are diagnoses.

    Raises `DataError` where `root` is not in the challenge's layout, and for faulty patients, all together.
    """
    return load_layout(root, _ORIGIN)


def load_layout(root: Path, origin: str) -> Source:
    """List any dataset in ACDC's layout; `origin` says in errors where the data comes from."""
    layout = Layout(_TREE, "patient", origin)
    patients = [
        (subset, folder)
        for subset in ("training", "testing")
        for folder in subfolders(root / subset, "patient*")
    ]
    layout.check_found(root, patients)
    cases: list[Case] = []
    faults: list[str] = []
    for subset, folder in patients:
        try:
            cases.extend(_patient_cases(folder, subset))
        except DataError as error:
            faults.append(str(error))
    layout.check_sound(root, faults)
    return Source(tuple(cases), CLASSES, channels=("MRI",), label_values=plain_labels(len(CLASSES)))


def _patient_cases(folder: Path, subset: str) -> list[Case]:
    """The ED and ES case of one patient, by frame; raises `DataError` naming what is wrong with them."""
    match = re.fullmatch(r"patient(\d+)", folder.name)
    if match is None:
        raise DataError(f"{folder}: expected a folder name such as patient001")
    parity = "train" if int(match[1]) % 2 == 0 else "val"
    split = "test" if subset == "testing" else parity
    info = _read_info(folder / "Info.cfg")
    group = info.get("Group", "")
    cases: list[Case] = []
    needed: list[Path] = []
    for frame, phase in sorted((int(info[phase]), phase) for phase in _PHASES):
        name = f"{folder.name}_frame{frame:02d}"
        image, label = folder / f"{name}.nii.gz", folder / f"{name}_gt.nii.gz"
        needed += [image] if split == "test" else [image, label]
        reference = label if label.is_file() else None
        cases.append(Case(name, folder.name, phase, split, (image,), reference, group))
    missing = missing_files(folder, needed)
    if missing:
        raise DataError(missing[0])
    return cases


def _read_info(path: Path) -> dict[str, str]:
    """The entries of `Info.cfg`, one `key: value` per line; the frame numbers of both phases are sound."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError as error:
        raise DataError(f"{path}: this file is missing") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    entries = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())
    }
    wrong = [
        f"{phase}: {entries[phase]}" if phase in entries else f"no {phase}"
        for phase in _PHASES
        if not re.fullmatch(r"[0-9]+", entries.get(phase, ""))
    ]
    if wrong:
        raise DataError(f"{path}: expected the lines 'ED: <frame>' and 'ES: <frame>', got {', '.join(wrong)}")
    if int(entries["ED"]) == int(entries["ES"]):
        raise DataError(f"{path}: expected different frames for ED and ES, got {int(entries['ED'])} for both")
    return entries


ACDC = Dataset(
    name="acdc",
    licence="CC BY-NC-SA 4.0",
    reference=(
        "Bernard et al., Deep Learning Techniques for Automatic MRI Cardiac Multi-Structures Segmentation "
        "and Diagnosis: Is the Problem Solved?, IEEE Transactions on Medical Imaging 37(11):2514-2525, 2018"
    ),
    homepage=HOMEPAGE,
    load=load,
    shares=(96.22, 1.21, 1.30, 1.27),
    subjects=100,
)
