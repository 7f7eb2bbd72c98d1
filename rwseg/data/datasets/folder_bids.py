"""BIDS: images and masks of `sub-*` folders, in the data set itself or in its `derivatives/`.

    sub-01/[ses-1/]anat/sub-01_[ses-1_]T1w.nii.gz       the image; others of the folder are left alone
                        sub-01_[ses-1_]dseg.nii.gz      the mask, here or in derivatives/NAME/sub-01/...

A mask belongs to the images whose entities (`sub-01`, `ses-1`, `run-2`, `space-orig`, ...) are its own, but
for `desc`, `label`, `seg` and `atlas`. https://bids-specification.readthedocs.io (imaging derivatives).
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from rwseg.core.faults import some
from rwseg.data.datasets.folder_files import Listing, Naming, Pair, image_files
from rwseg.data.io.file_names import stem

MASK_SUFFIX = "_dseg"
_NO_IMAGES = ("dseg", "mask", "probseg")
_OF_A_MASK = ("desc", "label", "seg", "atlas")

Key = tuple[str, ...]


def is_bids(root: Path) -> bool:
    """Whether there are folders `sub-*` at `root` or in its derivatives."""
    return any(any(root.glob(f"{where}sub-*/")) for where in ("", "derivatives/*/"))


def listed_bids(root: Path, naming: Naming) -> tuple[Listing, tuple[str, ...], list[str]]:
    """The cases with a mask, the suffixes of their images, and notes; subjects without a mask are left out.

    Where `naming` names no channels they are the one kind of image (T1w, FLAIR) that lies beside the masks.
    """
    files = [path for folder in _subjects(root) for path in image_files(folder)]
    suffix = naming.mask_suffix or MASK_SUFFIX
    masks: dict[Key, list[Path]] = defaultdict(list)
    images: dict[Key, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in files:
        text = stem(path.name)
        if text.endswith(suffix):
            masks[_key(path)].append(path)
        elif "_" in text and text.rpartition("_")[2] not in _NO_IMAGES:
            images[_key(path)][f"_{text.rpartition('_')[2]}"].append(path)
    kinds = naming.suffixes if naming.suffixes != ("",) else _one_kind(masks, images)
    listing = Listing()
    for key, paths in sorted(masks.items()):
        _add(listing, key, kinds, images[key], paths)
    bare = sorted(
        "_".join(key[1:]) for key, found in images.items() if key not in masks and set(kinds) <= set(found)
    )
    notes = [f"{len(bare)} images without *{suffix} are left out: {some(bare)}"] if bare else []
    return listing, kinds, notes


def _subjects(root: Path) -> list[Path]:
    return sorted(path for where in ("", "derivatives/*/") for path in root.glob(f"{where}sub-*/"))


def _key(path: Path) -> Key:
    """The kind of image (`anat`) and the entities of a file, those that only a mask has left out."""
    entities = [part for part in stem(path.name).split("_")[:-1] if part.partition("-")[0] not in _OF_A_MASK]
    return path.parent.name, *entities


def _one_kind(masks: dict[Key, list[Path]], images: dict[Key, dict[str, list[Path]]]) -> tuple[str, ...]:
    """The suffix of the images beside the masks; all of them where there is more than one."""
    return tuple(sorted({kind for key in masks for kind in images.get(key, {})}))


def _add(
    listing: Listing, key: Key, kinds: Sequence[str], found: dict[str, list[Path]], masks: list[Path]
) -> None:
    name = "_".join(key[1:])
    nearest = {kind: _nearest(found.get(kind, []), masks[0]) for kind in kinds}
    double = [paths for paths in (*nearest.values(), masks) if len(paths) > 1]
    if double:
        listing.several.append(" and ".join(path.name for path in double[0]))
    elif not any(nearest.values()):
        listing.without_image.append(masks[0].name)
    elif not all(nearest.values()):
        listing.incomplete.append(name)
    else:
        images = tuple(nearest[kind][0] for kind in kinds)
        listing.pairs.append(Pair(name, "train", images, masks[0]))


def _nearest(paths: Sequence[Path], mask: Path) -> list[Path]:
    """Those in the folder of the mask, if there are any: derivatives may repeat an image on another grid."""
    beside = [path for path in paths if path.parent == mask.parent]
    return beside or list(paths)
