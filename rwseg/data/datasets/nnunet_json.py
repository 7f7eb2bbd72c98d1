"""The two JSON files of a dataset in nnU-Net v2's raw format: `dataset.json` and `splits_final.json`."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rwseg.core.errors import MALFORMED, DataError
from rwseg.core.faults import listed
from rwseg.data.case import IGNORE
from rwseg.data.io import nifti, pictures

_READERS = {
    **dict.fromkeys(nifti.ENDINGS, ("SimpleITKIO", "NibabelIO")),
    **dict.fromkeys(pictures.LOSSLESS, ("NaturalImage2DIO",)),
}
"""nnU-Net's readers by file ending, as far as they read what we read."""


@dataclass(frozen=True)
class Files:
    """The files of a case: images by channel number."""

    images: Mapping[int, Path]
    label: Path


@dataclass(frozen=True)
class Description:
    """What `dataset.json` says; `listed` holds the training cases of its key `dataset`, where it has one."""

    channels: tuple[str, ...]
    classes: tuple[str, ...]
    ignore: int | None
    ending: str
    training: int
    listed: Mapping[str, Files] | None


def read_description(path: Path) -> Description:
    """Read `dataset.json`; raises `DataError` that lists everything that is wrong with it."""
    content = _read(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a JSON object, got {_shown(content)}")
    faults: list[str] = []
    classes, ignore = _labels(content.get("labels"), faults)
    description = Description(
        channels=_channels(content, faults),
        classes=classes,
        ignore=ignore,
        ending=_ending(content, faults),
        training=_training(content.get("numTraining"), faults),
        listed=_listed(path.parent, content["dataset"], faults) if "dataset" in content else None,
    )
    if faults:
        raise DataError("\n".join([f"{path}: {len(faults)} faults:", *listed(faults, "  ")]))
    return description


def read_folds(path: Path, names: Iterable[str]) -> tuple[frozenset[str], ...]:
    """The validation cases of each fold of `splits_final.json`; none where the file is not there.

    Raises `DataError` unless each fold parts exactly the cases `names` into train and val.
    """
    if not path.is_file():
        return ()
    content, known = _read(path), set(names)
    if not isinstance(content, list) or not content:
        raise DataError(f"{path}: expected a list of folds, got {_shown(content)}")
    faults = [f"fold {i}: {fault}" for i, fold in enumerate(content) for fault in _fold_faults(fold, known)]
    if faults:
        raise DataError("\n".join([f"{path}: {len(faults)} faults:", *listed(faults, "  ")]))
    return tuple(frozenset(fold["val"]) for fold in content)


def _fold_faults(fold: Any, known: set[str]) -> list[str]:
    if not (isinstance(fold, dict) and all(_is_names(fold.get(part)) for part in ("train", "val"))):
        return [f"expected {{'train': [names], 'val': [names]}}, got {_shown(fold)}"]
    train, val = set(fold["train"]), set(fold["val"])
    wrong = {
        "names without a case": (train | val) - known,
        "cases in neither train nor val": known - train - val,
        "cases in both train and val": train & val,
    }
    empty = [f"expected some cases in {part}, got none" for part in ("train", "val") if not fold[part]]
    return empty + [f"{what}: {_some(which)}" for what, which in wrong.items() if which]


def _channels(content: dict[str, Any], faults: list[str]) -> tuple[str, ...]:
    channels = content.get("channel_names")
    if channels is None and "modality" in content:
        faults.append(
            "channel_names: missing, but 'modality' is there: this is nnU-Net v1's format; "
            "convert it with nnUNetv2_convert_old_nnUNet_dataset"
        )
        return ()
    expected = [str(number) for number in range(len(channels) if isinstance(channels, dict) else 1)]
    if not isinstance(channels, dict) or not channels or sorted(channels, key=_by_number) != expected:
        faults.append(f'channel_names: expected {{"0": name, "1": name, ...}}, got {_shown(channels)}')
        return ()
    return tuple(str(channels[number]) for number in expected)


def _labels(labels: Any, faults: list[str]) -> tuple[tuple[str, ...], int | None]:
    """Class names by label, and the ignore label."""
    if not isinstance(labels, dict):
        faults.append(f'labels: expected {{"background": 0, name: 1, ...}}, got {_shown(labels)}')
        return (), None
    wrong = [_label_fault(name, value) for name, value in labels.items() if type(value) is not int]
    if wrong:
        faults.extend(wrong)
        return (), None
    ignore = labels.get("ignore")
    classes = sorted((value, name) for name, value in labels.items() if name != "ignore")
    if labels.get("background") != 0:
        faults.append(f"labels: expected 'background' to be 0, got {_shown(labels)}")
    elif [value for value, _ in classes] != list(range(len(classes))) or not 2 <= len(classes) <= IGNORE:
        faults.append(
            f"labels: expected 2 to {IGNORE} classes, numbered 0, 1, ... without gaps, got {_shown(labels)}"
        )
    elif ignore is not None and ignore != len(classes):
        faults.append(f"labels: expected 'ignore' to be the highest, {len(classes)}, got {ignore}")
    return tuple(name for _, name in classes), ignore


def _label_fault(name: str, value: Any) -> str:
    if isinstance(value, list):
        return f"labels: '{name}' is a region ({value}), which is not supported; give every class one integer"
    swapped = " (name and number are swapped)" if name.isdigit() and isinstance(value, str) else ""
    return f"labels: expected an integer for '{name}', got {_shown(value)}{swapped}"


def _ending(content: dict[str, Any], faults: list[str]) -> str:
    ending, reader = content.get("file_ending"), content.get("overwrite_image_reader_writer")
    if not isinstance(ending, str) or ending not in _READERS:
        faults.append(
            f"file_ending: expected one of {', '.join(_READERS)}, got {_shown(ending)}; convert the files"
        )
        return ""
    if reader is not None and reader not in _READERS[ending]:
        faults.append(
            f"overwrite_image_reader_writer: expected {' or '.join(_READERS[ending])} for {ending} files, "
            f"got {_shown(reader)}; files are read in their own axes here, and volumes from NIfTI only: "
            "reorient or convert them where that matters, then remove this entry"
        )
    return str(ending)


def _training(count: Any, faults: list[str]) -> int:
    if type(count) is not int or count < 1:
        faults.append(f"numTraining: expected the number of training cases, got {_shown(count)}")
        return 0
    return count


def _listed(root: Path, cases: Any, faults: list[str]) -> dict[str, Files]:
    """The cases of the key `dataset`: paths are relative to `root` and may hold variables and `~`."""
    form = '{name: {"images": [path, ...], "label": path}, ...}'
    if not isinstance(cases, dict):
        faults.append(f"dataset: expected {form}, got {_shown(cases)}")
        return {}
    listed = {}
    for name, case in cases.items():
        if Path(name).name != name:
            faults.append(f"dataset: expected a name without a folder, got '{name}'")
        elif not (
            isinstance(case, dict) and _is_names(case.get("images")) and _is_names([case.get("label")])
        ):
            faults.append(f"dataset: expected {form}, got {_shown(case)} for '{name}'")
        else:
            *images, label = (
                Path(os.path.normpath(root / os.path.expanduser(os.path.expandvars(path))))
                for path in (*case["images"], case["label"])
            )
            listed[name] = Files(dict(enumerate(images)), label)
    return listed


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except MALFORMED as error:
        raise DataError(f"{path}: expected a readable JSON file, got: {error}; correct it") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; `ValueError` for a key that stands there twice, of which Python would drop the first."""
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key '{next(key for key in keys if keys.count(key) > 1)}' stands there twice")
    return content


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _by_number(text: str) -> tuple[int, str]:
    return len(text), text


def _some(names: Iterable[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:5]) + (f", ... ({len(ordered)})" if len(ordered) > 5 else "")


def _shown(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
