"""Predictions of new images: every image file of a folder, without labels and without a dataset's layout."""

import hashlib
import json
import logging
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rwseg.core.errors import MALFORMED, ConfigError, DataError, RunError
from rwseg.core.faults import listed
from rwseg.core.files import write_bytes
from rwseg.core.progress import track
from rwseg.data.case import Case, LoadedCase, Remark
from rwseg.data.io.cases import ENDINGS, label_ending, read_case, write_labels
from rwseg.data.io.file_names import channel_of, is_image, stem
from rwseg.data.oddities import remark_lines
from rwseg.models.inference.case_maps import CaseMaps, case_maps
from rwseg.models.inference.inference_spec import InferenceSpec
from rwseg.models.inference.new_image import check_not_converted, source_of_new
from rwseg.models.inference.predictor import Predictor, predict_case

log = logging.getLogger(__name__)

RECORD = "predictions.json"


EXTRAS = ("overlays", "probabilities", "entropy", "disagreement")
"""Folders below `output` in which what else is wanted of the cases lies, a file per case and folder."""


class Extras(NamedTuple):
    """What else is wanted of a case: `write` writes it, to the files that `paths` names."""

    write: Callable[[Case, LoadedCase, CaseMaps], None]
    paths: Callable[[Case], list[Path]]


def predict_folder(
    members: Sequence[Predictor],
    images: Path,
    output: Path,
    checkpoint: str,
    force: bool,
    extras: Extras | None = None,
) -> Path:
    """Predict every image of the folder `images` into `output`, each in its own geometry; returns `output`.

    `images` may be one file: its case alone is predicted, with the files of its other channels beside it.

    A case is one file per channel, `<case>_0000`, `<case>_0001`, ... before the ending as in nnU-Net, or with
    the run's own suffixes; the suffix may be absent where a run takes one file per case. Its label map is
    `<case>` with the ending of `rwseg.data.io.cases.label_ending`. Those that are there are kept unless
    `force`, or where a file of `extras` is missing. `predictions.json` names the runs and the classes.

    Raises `DataError` that lists every faulty file, after the others were predicted; `RunError` where
    `output` holds predictions of other runs or the runs cannot predict files as they are, `ConfigError` where
    `output` is `images`.
    """
    data = members[0].data
    check_not_converted(data, members[0].folder)
    if images.resolve() == output.resolve():
        raise ConfigError(f"output: expected another folder than input, got {output} for both")
    cases = new_cases(images, data)
    record = _record(members, checkpoint)
    targets = {case: [_target(output, case, data), *(extras.paths(case) if extras else ())] for case in cases}
    _make_room(output, record, {case.name: paths[0] for case, paths in targets.items()}, force)
    pending = [case for case, paths in targets.items() if force or not all(map(Path.is_file, paths))]
    if len(pending) < len(cases):
        kept = len(cases) - len(pending)
        log.info("%s: %d predictions are there and kept (force=true makes them again)", output, kept)
    write_bytes(output / RECORD, f"{json.dumps(record, indent=2)}\n".encode())
    faults, remarks = [], []
    for case in track(pending, f"predicting {images.name}"):
        try:
            remarks.append((case.name, _predict(members, case, targets[case][0], extras)))
        except DataError as fault:
            faults.append(f"{case.name}: {fault}")
    for line in remark_lines(remarks):
        log.warning("odd data: %s", line)
    raise_faults(f"{images}: predicted {len(pending) - len(faults)} of {len(pending)} cases", faults)
    log.info("wrote %d predictions to %s", len(pending), output)
    return output


def _predict(
    members: Sequence[Predictor], case: Case, target: Path, extras: Extras | None
) -> tuple[Remark, ...]:
    """Predict one case, its label map last; what is odd about its files."""
    data = members[0].data
    loaded = read_case(case, source_of_new(data), data.slice_axis)
    if extras is None:
        labels = predict_case(members, loaded)
    else:
        maps = case_maps(members, loaded)
        labels = maps.labels
        extras.write(case, loaded, maps)
    write_labels(target, labels, case.images[0], data.slice_axis, values=data.written)
    return loaded.remarks


def new_cases(images: Path, data: InferenceSpec) -> list[Case]:
    """The cases that the image files in a folder make up, sorted by name; other files are ignored and named.

    Of an image file it is its case alone, whose other channels are beside it.

    Raises `DataError` for a folder that is not there or holds no image, and for files that are not one per
    channel (`data.files_per_case`), all together.
    """
    one = images.is_file()
    folder = images.parent if one else images
    if not folder.is_dir():
        raise DataError(f"{folder}: expected an image or a folder of images, found none; correct the input")
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    paths = [path for path in files if is_image(path)]
    if not paths:
        raise DataError(f"{folder}: expected images ({', '.join(ENDINGS)}), found none; correct the input")
    others = sorted({path.name for path in files} - {path.name for path in paths})
    if others:
        log.info("%s: ignored, because they are no images: %s", folder, ", ".join(others))
    stems = {path: stem(path.name) for path in paths}
    found: dict[str, dict[int | None, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path, text in stems.items():
        if data.suffixes:
            name, channel = channel_of(text, data.suffixes)
            channel = 0 if data.files_per_case == 1 else channel
        else:
            name, channel = _split_suffix(text, data.files_per_case, set(stems.values()))
        found[name][channel].append(path)
    if one:
        found = {
            name: files for name, files in found.items() if any(images in paths for paths in files.values())
        }
        if not found:
            raise DataError(f"{images}: expected an image ({', '.join(ENDINGS)}); correct the input")
    faults = [fault for name, files in found.items() for fault in _channel_faults(name, files, data)]
    raise_faults(f"{folder}: faults in {len(found)} cases", faults)
    wanted = range(data.files_per_case)
    return [
        Case(name, name, "", "test", tuple(files[channel][0] for channel in wanted), None)
        for name, files in sorted(found.items())
    ]


def raise_faults(head: str, faults: Iterable[str]) -> None:
    """Raise `DataError` with the kinds of `faults` below `head`, if there are any."""
    found = list(faults)
    if found:
        raise DataError("\n".join([f"{head}; {len(found)} faults:", *listed(found)]))


def _split_suffix(text: str, count: int, stems: set[str]) -> tuple[str, int | None]:
    """Case and channel of a file, None without a channel; `frame_0007` is a case where one file makes a case.

    Unless there is `frame_0000` too: then it looks like a channel that the run cannot take.
    """
    match = re.fullmatch(r"(.+)_([0-9]{4})", text)
    if match is None:
        return text, 0 if count == 1 else None
    name, channel = match[1], int(match[2])
    if count == 1 and channel and f"{name}_0000" not in stems:
        return text, 0
    return name, channel


def _channel_faults(name: str, files: dict[int | None, list[Path]], data: InferenceSpec) -> Iterable[str]:
    wanted, first = set(range(data.files_per_case)), _suffixes(data)[0]
    for channel, paths in files.items():
        if channel is None:
            shown = f"{name}{first} ({_names(data)})"
            yield f"{paths[0].name}: expected a channel before the ending as in {shown}"
        elif len(paths) > 1:
            yield f"{name}: expected one file of channel {channel}, found {', '.join(p.name for p in paths)}"
    numbers = {channel for channel in files if channel is not None}
    if numbers and numbers != wanted:
        known = dict(enumerate(_suffixes(data)))
        found = ", ".join(known.get(number, f"_{number:04}") for number in sorted(numbers))
        yield f"{name}: expected the channels {_names(data)}, found {found}"


def _names(data: InferenceSpec) -> str:
    suffixes = _suffixes(data)
    if len(suffixes) == 1:
        return f"{suffixes[0]} {'+'.join(data.channels)}".strip()
    return ", ".join(f"{suffix} {name}" for suffix, name in zip(suffixes, data.channels, strict=True))


def _suffixes(data: InferenceSpec) -> tuple[str, ...]:
    return data.suffixes or tuple(f"_{channel:04}" for channel in range(data.files_per_case))


def _target(output: Path, case: Case, data: InferenceSpec) -> Path:
    return output / f"{case.name}{label_ending(case.images[0], data.written)}"


def _record(members: Sequence[Predictor], checkpoint: str) -> dict[str, Any]:
    """Content of `predictions.json`: whose predictions a folder holds, and what their numbers mean."""
    return {
        "classes": list(members[0].data.classes),
        "values": list(members[0].data.written) or list(range(len(members[0].data.classes))),
        "checkpoint": checkpoint,
        "runs": [{"run_dir": str(member.folder), "weights": _digest(member)} for member in members],
    }


def _make_room(output: Path, record: dict[str, Any], targets: Mapping[str, Path], force: bool) -> None:
    """See that predictions by other weights do not mix with ours: with `force` ours take their place.

    `targets` are the label maps by the names of their cases. Raises `RunError` without `force`, and where
    some of theirs are of other images than ours.
    """
    known = _runs_of(output / RECORD)
    if known is None or set(known) == {run["weights"] for run in record["runs"]}:
        return
    theirs = f"{output}: holds predictions of {', '.join(map(str, known.values()))} with other weights"
    if not force:
        raise RunError(f"{theirs}; give another output, or force=true to predict all images again")
    ours = {path.name for path in targets.values()}
    rest = sorted({path.name for path in output.iterdir() if is_image(path)} - ours)
    if rest:
        raise RunError(
            f"{theirs}, some of images that are not in this input ({rest[0]}, {len(rest)} in all); "
            "give another output"
        )
    for path in targets.values():
        path.unlink(missing_ok=True)
    for folder in (output / kind for kind in EXTRAS):
        for path in folder.iterdir() if folder.is_dir() else ():
            if stem(path.name.removesuffix(".npz")) in targets:
                path.unlink()


def _runs_of(path: Path) -> dict[str, str] | None:
    """The runs in a record by the digest of their weights; None where there is no record."""
    if not path.is_file():
        return None
    try:
        runs = json.loads(path.read_text(encoding="utf-8"))["runs"]
        return {run["weights"]: run["run_dir"] for run in runs}
    except MALFORMED as error:
        raise RunError(
            f"{path}: expected what an evaluation wrote, found {error!r}; give another output"
        ) from error


def _digest(member: Predictor) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in member.network.network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
