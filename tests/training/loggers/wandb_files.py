"""Reading what W&B wrote offline, without W&B's own reader."""

import json
import struct
from pathlib import Path
from typing import Any

import wandb
from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]

BLOCK = 32768


def records(path: Path) -> list[Record]:
    """The records of a .wandb file: 7 bytes of header, then LevelDB's log format in blocks of 32 KiB."""
    content = path.read_bytes()
    assert content[:4] == b":W&B"
    place, parts, found = 7, [], []
    while place < len(content):
        if BLOCK - place % BLOCK < 7:  # no room for another header
            place += BLOCK - place % BLOCK
            continue
        _, size, kind = struct.unpack_from("<IHB", content, place)
        parts.append(content[place + 7 : place + 7 + size])
        place += 7 + size
        if kind in (1, 4):  # a whole record, or the last part of one
            found.append(Record.FromString(b"".join(parts)))
            parts = []
    return found


def offline_files(folder: Path) -> list[Path]:
    """The .wandb files of a run directory; ends W&B's process first, as the end of ours would."""
    wandb.teardown()
    return sorted(folder.glob("wandb/offline-run-*/*.wandb"))


def started(found: list[Record]) -> Any:
    """The one record that says which run this is."""
    (run,) = (record.run for record in found if record.HasField("run"))
    return run


def exit_codes(found: list[Record]) -> list[int]:
    return [record.exit.exit_code for record in found if record.HasField("exit")]


def _items(items: Any) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for item in items:
        *parents, last = item.nested_key or [item.key]
        place = content
        for key in parents:
            place = place.setdefault(key, {})
        place[last] = json.loads(item.value_json)
    return content


def config(found: list[Record]) -> dict[str, Any]:
    """The configuration with its later updates."""
    merged = _items(started(found).config.update)
    for record in found:
        if record.HasField("config"):
            merged |= _items(record.config.update)
    return merged


def history(found: list[Record]) -> dict[int, dict[str, Any]]:
    """What was logged, by step; fails where a step stands there twice."""
    rows = [record.history for record in found if record.HasField("history")]
    steps = [row.step.num for row in rows]
    assert len(steps) == len(set(steps)), steps
    return {step: _items(row.item) for step, row in zip(steps, rows, strict=True)}


def epoch_rows(found: list[Record]) -> dict[int, dict[str, Any]]:
    """The rows of epochs.csv, by epoch; fails where an epoch stands there twice."""
    rows = [row for row in history(found).values() if "train/loss" in row]
    epochs = [int(row["epoch"]) for row in rows]
    assert len(epochs) == len(set(epochs)), epochs
    return dict(zip(epochs, rows, strict=True))


def results(found: list[Record]) -> dict[str, Any]:
    """What was logged after the last epoch."""
    rows = [row for row in history(found).values() if "train/loss" not in row]
    assert len({row["trainer/global_step"] for row in rows}) == 1
    return {key: value for row in rows for key, value in row.items()}


def summary(found: list[Record]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for record in found:
        if record.HasField("summary"):
            merged |= _items(record.summary.update)
    return merged
