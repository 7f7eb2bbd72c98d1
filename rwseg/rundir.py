"""The run directory: its name, who may write it, and what it says about itself (contract C5)."""

import hashlib
import json
import os
import platform
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, ListConfig, OmegaConf

from rwseg import __version__
from rwseg.cli import compose
from rwseg.config import Choices, check
from rwseg.errors import RunError
from rwseg.files import write_json, write_text

IDENTITY = ("experiment", "dataset", "loss", "strategy")
NO_EFFECT = ("output_root", "prepared_root", "force", "logger", "dataset.root", "seed")
"""What does not change a run's result, or has its own place in the path (seed) or in run.json (the data's hash)."""

LONGEST_COMPONENT = 120

Flat = dict[str, Any]


def run_path(cfg: DictConfig, choices: Choices) -> Path:
    """`<output_root>/<experiment>/<dataset>/<loss>/<strategy>[/<other settings>]/seed<seed>`.

    Other settings are the groups and values in which `cfg` differs from what the four names alone would give,
    such as `model.features-16+schedule-small`, so that two different runs never share a directory.
    """
    names = {group: choices.get(group, "None") for group in IDENTITY}
    chosen = [f"{group}={option}" for group, option in names.items() if option != "None"]
    _, defaults = compose("train", chosen)
    groups = [
        (group, option)
        for group, option in choices.items()
        if group not in IDENTITY and group not in NO_EFFECT and option != defaults.get(group)
    ]
    reference, _ = compose("train", [*chosen, *(f"{group}={option}" for group, option in groups)])
    expected, asked = comparable(check(reference)), comparable(cfg)
    keys = [key for key in asked if asked[key] != expected.get(key)]
    component = _component([*groups, *((key, asked[key]) for key in keys if key != "seed")])
    experiment = "default" if names["experiment"] == "None" else names["experiment"]
    middle = [experiment, names["dataset"], names["loss"], names["strategy"], *component]
    return Path(cfg.output_root, *middle, f"seed{cfg.seed}")


def comparable(cfg: DictConfig | ListConfig) -> Flat:
    """The settings that decide a run's result, flat: {"schedule.epochs": 300, ...}."""
    content = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(content, dict)
    flat = dict(_flatten(content, ""))
    ignored = tuple(name for name in NO_EFFECT if name != "seed")
    return {
        key: value
        for key, value in flat.items()
        if key not in ignored and not key.startswith(tuple(f"{name}." for name in ignored))
    }


def config_digest(cfg: DictConfig) -> str:
    """Hash of `comparable(cfg)`; checkpoints carry it."""
    text = json.dumps(comparable(cfg), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Be the only process that writes `folder`; `RunError` names host and process of another one that does."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    owner = folder / ".owner"
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        who = owner.read_text(encoding="utf-8") if owner.is_file() else "an unknown process"
        raise RunError(
            f"{folder}: another process is writing this run: {who}; wait for it or stop it"
        ) from error
    try:
        write_text(owner, f"host {socket.gethostname()}, process {os.getpid()}")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def clear(folder: Path) -> None:
    """Remove everything in a claimed run directory but its lock."""
    for path in folder.iterdir():
        if path.name in (".lock", ".owner"):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def check_same_config(folder: Path, cfg: DictConfig) -> None:
    """Raise `RunError` naming the differing keys if `folder` holds a run of another configuration."""
    path = folder / "config.yaml"
    if not path.is_file():
        return
    saved, asked = comparable(OmegaConf.load(path)), comparable(cfg)
    keys = sorted(key for key in saved.keys() | asked.keys() if saved.get(key) != asked.get(key))
    lines = [
        f"  - {key}: saved {saved.get(key, 'nothing')}, asked {asked.get(key, 'nothing')}" for key in keys
    ]
    if lines:
        raise RunError(
            f"{folder} holds a run of another configuration:\n"
            + "\n".join(lines)
            + "\nuse another output_root, or force=true to start over here"
        )


def save_config(folder: Path, cfg: DictConfig) -> None:
    """Write the resolved configuration to `config.yaml`."""
    write_text(folder / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))


def load_config(folder: Path) -> DictConfig:
    """Read `config.yaml` of a run; `RunError` if `folder` is not a run directory."""
    path = folder / "config.yaml"
    if not path.is_file():
        raise RunError(f"{folder}: expected a run directory that train.py wrote, found no config.yaml in it")
    cfg = OmegaConf.load(path)
    assert isinstance(cfg, DictConfig)
    return check(cfg)


def read_run(folder: Path) -> dict[str, Any]:
    """The content of `run.json`, empty if there is none yet."""
    path = folder / "run.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def update_run(folder: Path, content: Mapping[str, Any]) -> None:
    """Merge `content` into `run.json`."""
    write_json(folder / "run.json", {**read_run(folder), **content})


def environment(device: str) -> dict[str, Any]:
    """What a result depends on besides configuration and data."""
    packages = ("torch", "pytorch-lightning", "monai", "numpy", "scipy", "edt", "hydra-core", "pandas")
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "device": device,
        "git_commit": _git_commit(),
        "versions": {
            "rwseg": __version__,
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        },
    }


def _git_commit() -> str | None:
    """Commit of this checkout, `-dirty` with uncommitted changes; None where there is no git or no checkout."""
    here = Path(__file__).resolve().parent.parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None


def _flatten(content: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _component(settings: list[tuple[str, Any]]) -> list[str]:
    """One name for all settings, `model.features-16+schedule.epochs-5`.

    It holds only characters that need no quotes in a shell or a Hydra override. Where a value had others, or the
    name is too long, a hash keeps it unique.
    """
    if not settings:
        return []
    plain = "+".join(f"{key}-{_text(value)}" for key, value in sorted(settings, key=lambda item: item[0]))
    name = re.sub(r"[^A-Za-z0-9._+-]", "_", plain)
    if name != plain or len(name) > LONGEST_COMPONENT:
        exact = json.dumps(sorted(settings, key=lambda item: item[0]))
        name = f"{name[:LONGEST_COMPONENT]}-{hashlib.blake2b(exact.encode(), digest_size=4).hexdigest()}"
    return [name]


def _text(value: Any) -> str:
    """`[32, 48]` as 32x48, `[[2, 2], [2, 1]]` as 2x2x.2x1, true, false and null as in YAML."""
    if isinstance(value, list):
        separator = "x." if any(isinstance(item, list) for item in value) else "x"
        return separator.join(_text(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value)
