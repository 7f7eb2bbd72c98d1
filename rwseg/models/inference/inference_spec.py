"""data.json of a run: what a prediction needs to know of the data, which need not be there any more."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rwseg.core.errors import MALFORMED, RunError
from rwseg.core.files import from_json, write_json
from rwseg.data.case import LARGEST_LABEL, Source
from rwseg.data.preprocessing.config import FittedPreprocessing
from rwseg.data.preprocessing.prepared import Prepared

NAME = "data.json"
MOST_PIXELS = 2**16
"""The longest side of an image or a patch that makes sense."""
FORMAT = 2
"""Raise this when the meaning of the file changes: older runs are then refused."""


@dataclass(frozen=True)
class InferenceSpec:
    """What a run knew of its data.

    `label_values` are the values in the training files that meant each class; predictions hold the classes,
    0, 1, ..., or what `written` has for each. `files_per_case` is 1 where the channels are those of an RGB
    file; `slice_axis` is the file's axis across slices; `converted` says that cases were rewritten before use
    (`Source.convert`); `patch_size`, `pools` and `batch_size` are those of the training, by whatever plan;
    `suffixes` are those of the files of each channel (`Source.suffixes`).
    """

    dataset: str
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    label_values: tuple[tuple[int, ...], ...]
    files_per_case: int
    slice_axis: int
    converted: bool
    preprocessing: FittedPreprocessing
    digest: str
    patch_size: tuple[int, int]
    pools: tuple[tuple[int, int], ...]
    batch_size: int
    written: tuple[int, ...] = ()
    suffixes: tuple[str, ...] = ()


def inference_spec(
    prepared: Prepared,
    source: Source,
    patch_size: tuple[int, int],
    pools: tuple[tuple[int, int], ...],
    batch_size: int,
) -> InferenceSpec:
    """The facts of a training on `prepared`, which was made of `source`."""
    entry = prepared.entries[0]
    return InferenceSpec(
        dataset=prepared.name,
        classes=prepared.classes,
        channels=prepared.channels,
        label_values=source.label_values,
        files_per_case=len(entry.images),
        slice_axis=entry.slice_axis,
        converted=source.convert is not None,
        preprocessing=prepared.preprocessing,
        digest=prepared.digest,
        patch_size=patch_size,
        pools=pools,
        batch_size=batch_size,
        written=source.written,
        suffixes=source.suffixes,
    )


def save_inference_spec(folder: Path, data: InferenceSpec) -> None:
    """Write `data.json` into the run directory `folder`."""
    write_json(folder / NAME, {"format": FORMAT, **asdict(data)})


def load_inference_spec(folder: Path) -> InferenceSpec:
    """Read `data.json`; `RunError` where it is missing, damaged or of another version of rwseg."""
    path = folder / NAME
    if not path.is_file():
        raise RunError(
            f"{folder}: expected {NAME}, which a training writes when it starts, found none; "
            "train this run with this version of rwseg"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = content.pop("format")
        if found != FORMAT:
            raise RunError(
                f"{path}: expected format {FORMAT}, found {found}: a file of another version of rwseg; "
                "use that version, or train this run again"
            )
        data: InferenceSpec = from_json(InferenceSpec, content)
        checked_spec(data)
        return data
    except MALFORMED as error:
        raise RunError(
            f"{path}: expected what a training wrote, found {error!r}; start over with force=true"
        ) from error


def checked_spec(data: InferenceSpec) -> None:
    """Raise `ValueError` that names the fields which no training writes."""
    preprocessing, channels = data.preprocessing, len(data.channels)
    sides = [*data.patch_size, *(preprocessing.size or ()), *(preprocessing.center_crop or ())]
    sides += [side for pool in data.pools for side in pool]
    steps = [preprocessing.zoom, *(preprocessing.spacing or ())]
    sound = {
        "classes": 2 <= len(data.classes) == len(data.label_values),
        "channels": channels >= 1 and data.files_per_case in (1, channels),
        "written": len(data.written) in (0, len(data.classes))
        and all(0 <= value <= LARGEST_LABEL for value in data.written),
        "suffixes": len(data.suffixes) in (0, data.files_per_case),
        "slice_axis": data.slice_axis in (0, 1, 2),
        "patch_size, pools, size or center_crop": all(0 < side <= MOST_PIXELS for side in sides),
        "zoom or spacing": all(1 / MOST_PIXELS < step < MOST_PIXELS for step in steps),
        "intensities": len(preprocessing.intensities)
        == (channels if preprocessing.normalisation == "ct" else 0),
    }
    wrong = [name for name, is_sound in sound.items() if not is_sound]
    if wrong:
        raise ValueError(f"senseless {', '.join(wrong)}")
