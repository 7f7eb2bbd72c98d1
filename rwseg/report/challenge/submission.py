"""A submission to the ACDC challenge: patientXXX_ED.nii.gz and patientXXX_ES.nii.gz of every test patient.

What is certain stands in the challenge's own script (metrics_acdc.py, C. Zotti, April 2017): it pairs files
by these names, takes voxel sizes from the reference, compares voxel by voxel, and knows the labels 1 RV,
2 myocardium, 3 LV. nnU-Net's converter for ACDC names its submission in the same way. We found nothing
published on whether the platform looks at headers (so the check asks for those of the image), nor on how the
files are to be packed.
"""

from pathlib import Path

import numpy as np

from rwseg.core.errors import ConfigError, DataError
from rwseg.core.files import replacing
from rwseg.data.case import Case
from rwseg.data.datasets.acdc import ACDC
from rwseg.data.io.image_grid import check_same_grid
from rwseg.data.io.nifti import read_nifti

LABELS = 4


def submission_cases(root: Path) -> dict[str, Case]:
    """The file names that a submission holds, and the case that each is for; phases are those of Info.cfg.

    Raises `DataError` where `root` is not ACDC, or has no patient in `testing/`.
    """
    cases = [case for case in ACDC.load(root).cases if case.split == "test"]
    if not cases:
        raise DataError(
            f"{root}: expected the challenge's patients in testing/, got none; fetch the test set"
        )
    return {f"{case.subject}_{case.phase}.nii.gz": case for case in cases}


def export(evaluation: Path, root: Path, out: Path) -> int:
    """Copy the predictions of the test set in `evaluation` to `out` under the challenge's names; how many.

    `evaluation` is what `rwseg evaluate split=test` wrote, or a folder of predictions named as the images.
    Raises `DataError` that lists every missing prediction, `ConfigError` where `out` holds other files; then
    nothing is written.
    """
    wanted = submission_cases(root)
    inner = evaluation / "predictions"
    folder = inner if inner.is_dir() else evaluation
    sources = {name: folder / f"{case.name}.nii.gz" for name, case in wanted.items()}
    missing = [path.name for path in sources.values() if not path.is_file()]
    if missing:
        raise DataError(
            f"{folder}: expected predictions of the {len(wanted)} test volumes, {len(missing)} missing: "
            f"{', '.join(missing[:10])}{', ...' if len(missing) > 10 else ''}; "
            "run rwseg evaluate with split=test and this root"
        )
    others = _others(out, wanted) if out.is_dir() else [out.name] if out.exists() else []
    if others:
        raise ConfigError(
            f"{out}: expected a new folder, found {', '.join(others[:10])} in it; give another one"
        )
    for name, source in sources.items():
        with replacing(out / name) as temporary:
            temporary.write_bytes(source.read_bytes())
    return len(sources)


def faults_of(folder: Path, root: Path) -> list[str]:
    """Everything that is wrong with the submission in `folder`, a line each; empty where it can be sent.

    Each test patient has both phases and there is no other file; each file is whole, of unsigned 8-bit
    integers, with labels 0 to 3, in shape, affine and voxel size like the image.
    """
    wanted = submission_cases(root)
    if not folder.is_dir():
        return [f"{folder}: expected a folder, found none"]
    faults = [
        f"{folder / name}: expected nothing but {{ED,ES}} of test patients"
        for name in _others(folder, wanted)
    ]
    for name, case in sorted(wanted.items()):
        path = folder / name
        if path.is_file():
            faults += _file_faults(path, case)
        else:
            faults.append(f"{path}: missing; expected the prediction of {case.name}")
    return faults


def _file_faults(path: Path, case: Case) -> list[str]:
    try:
        prediction, image = read_nifti(path), read_nifti(case.images[0])
        odd = [*check_same_grid(image, prediction), *prediction.remarks]
    except DataError as fault:
        return [str(fault)]
    shared = {remark.kind for remark in image.remarks}
    faults = [
        f"{path}: expected a header as the image's, got {remark.kind}: {remark.detail}"
        for remark in odd
        if remark.kind not in shared
    ]
    if prediction.array.dtype != np.uint8:
        faults.append(f"{path}: expected unsigned 8-bit integers (uint8), got {prediction.array.dtype}")
    wrong = [value for value in np.unique(prediction.array).tolist() if value not in range(LABELS)]
    if wrong:
        listed = ", ".join(f"{value:g}" for value in wrong[:5])
        faults.append(f"{path}: expected labels 0 to {LABELS - 1}, got {listed}")
    return faults


def _others(folder: Path, wanted: dict[str, Case]) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name not in wanted)
