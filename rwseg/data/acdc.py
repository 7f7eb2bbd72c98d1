"""ACDC (Automated Cardiac Diagnosis Challenge, 2017): the challenge's folder layout and the paper's split.

    root/training/patient001/Info.cfg                      "ED: 1", "ES: 12", ...
                             patient001_frame01.nii.gz     the image at end diastole
                             patient001_frame01_gt.nii.gz  its labels: 1 RV, 2 myocardium, 3 LV
                             patient001_frame12.nii.gz, patient001_frame12_gt.nii.gz
    root/testing/patient101/...                            optional, may lack the labels

Even patients train, odd ones validate (the authors' `datasplits/acdc17.py`).
"""

import re
from pathlib import Path

from rwseg.data.case import Case, Dataset
from rwseg.errors import DataError

HOMEPAGE = "https://www.creatis.insa-lyon.fr/Challenge/acdc/"
_SOURCE = f"ACDC is free after registration: {HOMEPAGE} (section Databases)"
_LAYOUT = (
    "root/training/patientXXX/{Info.cfg, patientXXX_frameYY.nii.gz, patientXXX_frameYY_gt.nii.gz} "
    "and, optionally, root/testing/patientXXX"
)
_PHASES = ("ED", "ES")
_MOST_LISTED = 20


def load(root: Path) -> list[Case]:
    """List the ED and ES volumes of ACDC below `root`, sorted by subject and frame.

    Raises `DataError` where `root` is not in the challenge's layout, and for faulty patients, all together.
    """
    return load_layout(root, _SOURCE)


def load_layout(root: Path, source: str) -> list[Case]:
    """List the cases of any dataset in ACDC's layout; `source` says in errors where the data comes from."""
    folders = [(subset, root / subset) for subset in ("training", "testing") if (root / subset).is_dir()]
    patients = [
        (subset, folder)
        for subset, parent in folders
        for folder in sorted(parent.glob("patient*"))
        if folder.is_dir()
    ]
    if not patients:
        found = "no patient folder in it" if root.is_dir() else "no such folder"
        raise DataError(
            f"{root}: expected {_LAYOUT}; got {found}. {source}. "
            "Then name its folder with dataset.root=..., or set RWSEG_DATA to the folder that holds it"
        )
    cases: list[Case] = []
    faults: list[str] = []
    for subset, folder in patients:
        try:
            cases.extend(_patient_cases(folder, subset))
        except DataError as error:
            faults.append(str(error))
    if faults:
        raise DataError(_list_faults(root, faults, source))
    return cases


def _list_faults(root: Path, faults: list[str], source: str) -> str:
    more = [f"and {len(faults) - _MOST_LISTED} more"] if len(faults) > _MOST_LISTED else []
    head = f"{root}: expected {_LAYOUT}; got {len(faults)} faulty patient(s):"
    advice = f"Restore their files or remove their folders. {source}"
    return "\n  ".join([head, *faults[:_MOST_LISTED], *more, advice])


def _patient_cases(folder: Path, subset: str) -> list[Case]:
    """The ED and ES case of one patient, by frame; raises `DataError` naming what is wrong with them."""
    match = re.fullmatch(r"patient(\d+)", folder.name)
    if match is None:
        raise DataError(f"{folder}: expected a folder name such as patient001")
    parity = "train" if int(match[1]) % 2 == 0 else "val"
    split = "test" if subset == "testing" else parity
    cases = []
    missing = []
    for frame, phase in sorted((frame, phase) for phase, frame in _read_frames(folder / "Info.cfg").items()):
        name = f"{folder.name}_frame{frame:02d}"
        image, label = folder / f"{name}.nii.gz", folder / f"{name}_gt.nii.gz"
        needed = [image] if split == "test" else [image, label]
        missing += [path.name for path in needed if not path.is_file()]
        cases.append(Case(name, folder.name, phase, split, (image,), label if label.is_file() else None))
    if missing:
        raise DataError(f"{folder}: missing {', '.join(missing)}")
    return cases


def _read_frames(path: Path) -> dict[str, int]:
    """The frame number of each phase, from `Info.cfg` with one `key: value` per line."""
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
    frames = {phase: int(entries[phase]) for phase in _PHASES}
    if frames["ED"] == frames["ES"]:
        raise DataError(f"{path}: expected different frames for ED and ES, got {frames['ED']} for both")
    return frames


ACDC = Dataset(
    name="acdc",
    classes=("background", "RV", "myocardium", "LV"),
    licence="CC BY-NC-SA 4.0",
    reference=(
        "Bernard et al., Deep Learning Techniques for Automatic MRI Cardiac Multi-Structures Segmentation "
        "and Diagnosis: Is the Problem Solved?, IEEE Transactions on Medical Imaging 37(11):2514-2525, 2018"
    ),
    homepage=HOMEPAGE,
    load=load,
)
