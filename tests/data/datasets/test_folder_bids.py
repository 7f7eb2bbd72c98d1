"""Images and masks in the layout of BIDS."""

from pathlib import Path

import numpy as np
import pytest
from folder_trees import mask_of, save_nifti

from rwseg.core.errors import DataError
from rwseg.data.datasets.folder import load

PLAIN = {"labels": {"background": 0, "one": 1, "two": 2}}


def bids(root: Path, *files: str) -> Path:
    for number, file in enumerate(files):
        save_nifti(root / file, np.stack([mask_of(number, size=(30, 34))] * 3, axis=2), (1, 1, 4))
    return root


def test_bids_takes_the_channels_that_are_asked_for(tmp_path: Path) -> None:
    root = bids(
        tmp_path, *(f"sub-{n}/anat/sub-{n}_{k}.nii.gz" for n in "12" for k in ("T1w", "FLAIR", "dseg"))
    )
    with pytest.raises(
        DataError, match=r"expected one kind of image .* got FLAIR,T1w; .*'dataset\.channels=\[FLAIR,T1w\]'"
    ):
        load(root)
    source = load(root, channels=["T1w", "FLAIR"])
    assert [[path.name for path in case.images] for case in source.cases] == [
        [f"sub-{n}_T1w.nii.gz", f"sub-{n}_FLAIR.nii.gz"] for n in "12"
    ]
    assert [case.name for case in source.cases] == ["sub-1", "sub-2"]


def test_bids_pairs_by_entities_and_leaves_the_unlabelled_out(tmp_path: Path) -> None:
    root = bids(
        tmp_path,
        "sub-1/anat/sub-1_T1w.nii.gz",
        "sub-2/anat/sub-2_T1w.nii.gz",
        "derivatives/fmriprep/sub-1/anat/sub-1_desc-preproc_T1w.nii.gz",
        "derivatives/fmriprep/sub-1/anat/sub-1_dseg.nii.gz",
        "derivatives/fmriprep/sub-1/anat/sub-1_space-MNI_desc-preproc_T1w.nii.gz",
        "derivatives/fmriprep/sub-1/anat/sub-1_space-MNI_dseg.nii.gz",
        "derivatives/fmriprep/sub-1/anat/sub-1_desc-brain_mask.nii.gz",
    )
    source = load(root, subject="(sub-.)", **PLAIN)
    assert [(case.name, case.images[0].name, case.label and case.label.name) for case in source.cases] == [
        ("sub-1", "sub-1_desc-preproc_T1w.nii.gz", "sub-1_dseg.nii.gz"),
        ("sub-1_space-MNI", "sub-1_space-MNI_desc-preproc_T1w.nii.gz", "sub-1_space-MNI_dseg.nii.gz"),
    ]
    assert source.notes == ("1 images without *_dseg are left out: sub-2",)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("sub-1_dseg",), r"1 masks without an image"),
        (
            ("sub-1_T1w", "sub-1_desc-a_dseg", "sub-1_desc-b_dseg"),
            r"1 names of more than one file.*desc-a.* and .*desc-b",
        ),
        (("sub-1_T1w",), r"expected images/ and masks/ .* BIDS"),
    ],
)
def test_faulty_bids_is_named(tmp_path: Path, files: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(bids(tmp_path, *(f"sub-1/anat/{file}.nii.gz" for file in files)), **PLAIN)


def test_one_of_two_masks_is_chosen_by_its_suffix(tmp_path: Path) -> None:
    root = bids(
        tmp_path, *(f"sub-1/anat/sub-1_{end}.nii.gz" for end in ("T1w", "desc-a_dseg", "desc-b_dseg"))
    )
    source = load(root, mask_suffix="_desc-b_dseg", **PLAIN)
    assert source.cases[0].label == root / "sub-1/anat/sub-1_desc-b_dseg.nii.gz"
