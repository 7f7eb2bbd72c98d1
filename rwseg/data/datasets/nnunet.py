"""Any dataset in nnU-Net v2's raw format; the root is its folder `DatasetXXX_Name`.

    root/dataset.json                    channel_names, labels, numTraining, file_ending
         imagesTr/{case}_0000.nii.gz     one file per channel; RGB pictures hold three channels in one file
         labelsTr/{case}.nii.gz
         imagesTs/, labelsTs/            optional: the split `test`, with references or without
         splits_final.json               optional: folds, as nnU-Net writes them beside its preprocessed data

The format: https://github.com/MIC-DKFZ/nnUNet/blob/master/documentation/dataset_format.md. It knows no
subjects, so each case is one; name the folds in splits_final.json where several cases come from one subject.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from rwseg.core.errors import DataError
from rwseg.data.case import Case, Dataset, Source, plain_labels
from rwseg.data.datasets.layout import Layout
from rwseg.data.datasets.nnunet_json import Description, Files, read_description, read_folds
from rwseg.data.io.cases import ENDINGS
from rwseg.data.io.pictures import LOSSLESS as PICTURES

HOMEPAGE = "https://github.com/MIC-DKFZ/nnUNet"
_LAYOUT = Layout(
    tree=(
        "nnU-Net v2's raw format: root/{dataset.json, imagesTr/{case}_{0000}{file_ending}, "
        "labelsTr/{case}{file_ending}}"
    ),
    unit="part",
    origin=f"The format: {HOMEPAGE}/blob/master/documentation/dataset_format.md",
)


def load(root: Path) -> Source:
    """List the cases of the dataset at `root`: split `train` for imagesTr, `test` for imagesTs.

    Raises `DataError` where `dataset.json` or `splits_final.json` is faulty, and for all faulty cases
    together: missing or unequal channels, an image without label, a label without image, one name for two
    cases, another number of cases than `numTraining`, images of another ending than `file_ending`.
    """
    _check_root(root)
    description = read_description(root / "dataset.json")
    faults: list[str] = []
    train = description.listed
    if train is None:
        train = _in_folders(root, "Tr", description.ending, faults)
    test = _in_folders(root, "Ts", description.ending, faults)
    faults += _case_faults(root, train, test, description)
    _LAYOUT.check_sound(root, faults)
    return Source(
        cases=(*_cases(train, "train"), *_cases(test, "test")),
        classes=description.classes,
        channels=description.channels,
        label_values=plain_labels(len(description.classes)),
        ignore=description.ignore,
        slice_axis=None,
        folds=read_folds(root / "splits_final.json", train),
    )


def _check_root(root: Path) -> None:
    if (root / "dataset.json").is_file():
        return
    inside = sorted(path.parent.name for path in root.glob("Dataset*/dataset.json"))
    advice = f"name one of the datasets in it, such as {root / inside[0]}" if inside else _LAYOUT.origin
    found = "no dataset.json in it" if root.is_dir() else "no such folder"
    raise DataError(f"{root}: expected {_LAYOUT.tree}; got {found}; {advice}")


def _in_folders(root: Path, part: str, ending: str, faults: list[str]) -> dict[str, Files]:
    """The cases of images`part`; what they lack is found later."""
    images: dict[str, dict[int, Path]] = {}
    for path in _files(root / f"images{part}", ending):
        match = re.fullmatch(r"(.+)_(\d{4})", path.name.removesuffix(ending))
        if match is None:
            faults.append(f"{path}: expected a name such as case_0000{ending}, the number being the channel")
        else:
            images.setdefault(match[1], {})[int(match[2])] = path
    others = [path.name for path in _files(root / f"images{part}", "") if _is_image(path, but=ending)]
    if others:
        listed = ", ".join(others[:5])
        faults.append(
            f"{root / f'images{part}'}: expected images ending in {ending} as dataset.json says, got "
            f"{len(others)} others: {listed}; correct file_ending, or move them elsewhere"
        )
    labels = root / f"labels{part}"
    for path in _files(labels, ending):
        if path.name.removesuffix(ending) not in images:
            faults.append(f"{path}: expected an image of this name in images{part}, got none")
    return {name: Files(images[name], labels / f"{name}{ending}") for name in sorted(images)}


def _files(folder: Path, ending: str) -> list[Path]:
    """Hidden files are left out: archives made on a Mac hold a `._case_0000.nii.gz` for each image."""
    found = folder.glob(f"*{ending}")
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))


def _is_image(path: Path, but: str) -> bool:
    """Whether the name is that of an image of any ending `but` one: such files would be left out unseen."""
    ending = max((end for end in ENDINGS if path.name.lower().endswith(end)), key=len, default="")
    stem = path.name[: -len(ending)] if ending else ""
    return not path.name.endswith(but) and re.fullmatch(r".+_\d{4}", stem) is not None


def _case_faults(
    root: Path, train: Mapping[str, Files], test: Mapping[str, Files], description: Description
) -> Iterator[str]:
    if len(train) != description.training:
        yield f"{root / 'dataset.json'}: expected numTraining {len(train)}, got {description.training}"
    for name in sorted(train.keys() & test.keys()):
        yield f"{name}: expected one case of this name, got one to train on and one for testing"
    every = [*train.items(), *test.items()]
    expected = _channel_numbers(description, [files for _, files in every])
    for name, files in every:
        if sorted(files.images) != expected:
            yield f"{name}: expected the channels {_numbers(expected)}, got {_numbers(sorted(files.images))}"
    for name, files in train.items():
        missing = [path for path in (*files.images.values(), files.label) if not path.is_file()]
        if missing:
            yield f"{name}: missing {', '.join(str(path) for path in missing)}"


def _channel_numbers(description: Description, cases: list[Files]) -> list[int]:
    """The channel numbers that each case must have: those named, or 0 alone where all files may be RGB."""
    count = len(description.channels)
    may_be_rgb = description.ending in PICTURES and count == 3
    if may_be_rgb and all(list(files.images) == [0] for files in cases):
        return [0]
    return list(range(count))


def _numbers(channels: list[int]) -> str:
    return ", ".join(f"{channel:04d}" for channel in channels) or "none"


def _cases(found: Mapping[str, Files], split: str) -> Iterator[Case]:
    for name, files in found.items():
        images = tuple(files.images[channel] for channel in sorted(files.images))
        yield Case(name, name, "", split, images, files.label if files.label.is_file() else None)


NNUNET = Dataset(
    name="nnunet",
    licence="that of the data",
    reference=(
        "the format: Isensee et al., nnU-Net: a self-configuring method for deep learning-based biomedical "
        "image segmentation, Nature Methods 18:203-211, 2021"
    ),
    homepage=HOMEPAGE,
    load=load,
)
