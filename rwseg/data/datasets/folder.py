"""Any folder of images and masks: pictures (PNG, JPEG, BMP, TIFF) or NIfTI, as people have them.

    root/images/NAME.png, root/masks/NAME.png            one folder each; patients' folders may lie below
    root/train/images/..., root/val/..., root/test/...   split by hand, or root/images/train/...
    root/NAME.png, root/NAME_mask.png                    in one folder, with dataset.mask_suffix=_mask
    root/images/NAME_dapi.tif, root/images/NAME_gfp.tif  a file per channel, with dataset.channels=[dapi,gfp]
    root/sub-01/anat/sub-01_T1w.nii.gz, ..._dseg.nii.gz  BIDS, also in derivatives/

Without val/ the cases are split into folds by subject (`dataset.fold`). A case's subject is what
`dataset.subject` finds in its name, or the case itself. docs/data.md says more.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from rwseg.core.errors import DataError
from rwseg.core.faults import some
from rwseg.data.case import Case, Dataset, Source
from rwseg.data.datasets.folder_bids import is_bids, listed_bids
from rwseg.data.datasets.folder_files import Listing, Naming, Pair, Part, listed
from rwseg.data.datasets.folder_labels import Labels, found_meaning, meaning_of
from rwseg.data.io.cases import ENDINGS
from rwseg.data.io.image_grid import Volume
from rwseg.data.io.nifti import read_nifti
from rwseg.data.io.pictures import is_picture, read_picture
from rwseg.data.names import several_of_one

COLOURS = ("red", "green", "blue")
SPLITS = ("train", "val", "test")
_TREE = (
    "images/ and masks/ (or train/, val/, test/ with these in each), files NAME and NAME_mask in one folder "
    "with dataset.mask_suffix=_mask, or BIDS (sub-*)"
)


def load(
    root: Path,
    labels: Labels | None = None,
    subject: str | None = None,
    mask_suffix: str | None = None,
    channels: Sequence[str] | None = None,
) -> Source:
    """List the cases in the folder `root`, read by the settings of `dataset` that have these names.

    Only where `labels` is None are masks read, to find what they hold. Raises `DataError` that says all at
    once, a line for each kind: images and masks without each other, two files of one name, missing
    channels, names in which `subject` finds nothing, masks that need `labels`, pictures among volumes.
    """
    naming = Naming(tuple(map(_suffix, channels or ())) or ("",), mask_suffix or "")
    listing, naming, notes = _listed(root, naming)
    faults = list(listing.faults(naming))
    pairs = listing.pairs
    if not pairs and not faults:
        raise DataError(f"{root}: expected {_TREE}, got {_there(root)}, no image ({', '.join(ENDINGS)})")
    faults += _mixed(pairs)
    subjects = _subjects(pairs, subject, faults)
    masks = [pair.mask for pair in pairs if pair.mask is not None]
    meaning, said = meaning_of(labels) if labels else found_meaning(masks)
    if meaning is None or faults:
        faults += said if meaning is None else []
        hint = None if subject else several_of_one([pair.name for pair in pairs])
        lines = [f"{root}: {len(faults)} kind(s) of fault:", *faults, *([f"note: {hint}"] if hint else [])]
        raise DataError("\n  - ".join(lines))
    cases = _cases(pairs, subjects)
    return Source(
        cases=cases,
        classes=meaning.classes,
        channels=_channels(channels, naming, pairs),
        label_values=meaning.values,
        ignore=meaning.ignore,
        slice_axis=None,
        folds=_own_fold(cases),
        written=tuple(values[0] for values in meaning.values),
        suffixes=naming.suffixes,
        notes=(*notes, *said),
    )


def _listed(root: Path, naming: Naming) -> tuple[Listing, Naming, list[str]]:
    if not root.is_dir():
        raise DataError(f"{root}: expected a folder with {_TREE}; got no such folder; give dataset.root=...")
    parts = _parts(root, naming)
    if parts or not is_bids(root):
        listing = listed(parts or [Part("train", root, root)], naming)
        if not (parts or naming.mask_suffix or listing.options):
            raise DataError(f"{root}: expected {_TREE}, got {_there(root)}; rename or link what there is")
        return listing, naming, []
    listing, kinds, notes = listed_bids(root, naming)
    if naming.suffixes == ("",) and len(kinds) > 1:
        names = ",".join(kind.removeprefix("_") for kind in kinds)
        raise DataError(
            f"{root}: expected one kind of image beside the masks, got {names}; choose one or several by "
            f"dataset.channels, such as 'dataset.channels=[{names}]'"
        )
    return listing, replace(naming, suffixes=kinds or naming.suffixes), notes


def _parts(root: Path, naming: Naming) -> list[Part]:
    """The splits that have a folder, at the root or in images/; images/ alone is for training."""
    images, masks = root / "images", root / "masks"
    within = [Part(split, images / split, masks / split) for split in SPLITS if (images / split).is_dir()]
    if within and all(path.is_dir() for path in images.iterdir()):
        return within
    found = [_part(root / split, split, naming) for split in SPLITS if (root / split).is_dir()]
    if not images.is_dir():
        return found
    if any(part.split == "train" for part in found):
        raise DataError(f"{root}: expected training images in images/ or in train/, got both; move one away")
    return [_part(root, "train", naming), *found]


def _part(folder: Path, split: str, naming: Naming) -> Part:
    images, masks = folder / "images", folder / "masks"
    if images.is_dir():
        return Part(split, images, images if naming.mask_suffix and not masks.is_dir() else masks)
    if not naming.mask_suffix and any(path.is_dir() for path in folder.iterdir()):
        raise DataError(f"{folder}: expected images/ and masks/, got {_there(folder)}; rename or link them")
    return Part(split, folder, folder)


def _suffix(channel: str) -> str:
    """What the names of a channel's files end in: `_dapi` for `dapi`, `-dapi` as it is."""
    return channel if re.match(r"\W|_", channel) else f"_{channel}"


def _there(root: Path) -> str:
    """What is there instead."""
    names = sorted(
        path.name + ("/" if path.is_dir() else "") for path in root.iterdir() if path.name[0] != "."
    )
    return some(names) if names else "an empty folder"


def _mixed(pairs: Iterable[Pair]) -> list[str]:
    kinds: dict[bool, list[str]] = {True: [], False: []}
    for pair in pairs:
        kinds[is_picture(pair.images[0])].append(pair.images[0].name)
    if not all(kinds.values()):
        return []
    return [
        f"pictures ({len(kinds[True])}: {some(kinds[True])}) among NIfTI files ({len(kinds[False])}: "
        f"{some(kinds[False])}), expected one kind: their sizes are in pixels and in mm; give each a folder"
    ]


def _cases(pairs: Sequence[Pair], subjects: Sequence[str]) -> tuple[Case, ...]:
    """The cases, each its own subject where there is none; a name begins with its split if two share it."""
    is_shared = len({pair.name for pair in pairs}) < len(pairs)
    names = [f"{pair.split}_{pair.name}" if is_shared else pair.name for pair in pairs]
    return tuple(
        Case(name, subject or name, "", pair.split, pair.images, pair.mask)
        for name, subject, pair in zip(names, subjects, pairs, strict=True)
    )


def _subjects(pairs: Sequence[Pair], pattern: str | None, faults: list[str]) -> list[str]:
    if pattern is None:
        return [""] * len(pairs)
    found = [re.search(pattern, pair.name) for pair in pairs]
    missing = [pair.name for pair, match in zip(pairs, found, strict=True) if match is None or not match[1]]
    if missing:
        faults.append(
            f"dataset.subject={pattern}: expected a subject in the name of each case, got none in "
            f"{len(missing)} of {len(pairs)}: {some(missing)}; correct the pattern"
        )
    return ["" if match is None else match[1] or "" for match in found]


def _channels(channels: Sequence[str] | None, naming: Naming, pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Names of the channels: as given, or by what the first image holds; the others are checked later."""
    if channels or naming.suffixes != ("",):
        return tuple(channels or (suffix.removeprefix("_") for suffix in naming.suffixes))
    volumes = (volume for volume in map(_readable, (pair.images[0] for pair in pairs)) if volume is not None)
    first = next(volumes, None)
    if first is None or first.unit == "mm":
        return ("image",)
    return COLOURS if len(first.array) == len(COLOURS) else ("grey",)


def _readable(path: Path) -> Volume | None:
    try:
        return read_picture(path) if is_picture(path) else read_nifti(path)
    except DataError:  # told with all others when they are read
        return None


def _own_fold(cases: Sequence[Case]) -> tuple[frozenset[str], ...]:
    """The split by hand as the only fold, where there is one."""
    validating = frozenset(case.name for case in cases if case.split == "val")
    return (validating,) if validating else ()


FOLDER = Dataset(
    name="folder",
    licence="licence of the data",
    reference="images and masks in a folder",
    homepage="",
    load=load,
    options=("labels", "subject", "mask_suffix", "channels"),
)
