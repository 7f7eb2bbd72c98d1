"""The run directory: its name, and whose configuration it holds (contract C5)."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, fields
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from rwseg.core.errors import MALFORMED, ConfigError, RunError
from rwseg.core.files import write_text
from rwseg.experiments.composition import compose
from rwseg.experiments.config.command_line import search_path
from rwseg.experiments.config.conf import CONF
from rwseg.experiments.config.map_words import SETTING, as_folder
from rwseg.experiments.config.schema import ADAM, POLY, Choices, TrainConfig, TrainerConfig
from rwseg.experiments.config.targets import displayed
from rwseg.experiments.config.validation import check, plain, resolved

IDENTITY = ("experiment", "dataset", "loss", "strategy")
NO_EFFECT = (
    "output_root",
    "prepared_root",
    "force",
    "logger",
    "workers",
    "data",
    "dataset.root",
    "dataset.cache",
    "stability",
    "callbacks.progress",
    "callbacks.overlays",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.strategy",
    "trainer.profiler",
    "trainer.log_every_n_steps",
    "trainer.enable_model_summary",
    "trainer.enable_autolog_hparams",
    "trainer.model_registry",
)
"""What does not change a run's result, but for the order in which the processes of a world add numbers.

The data itself stands in run.json by its hash.
"""

OF_BEFORE = {
    group: {f"{group}.{key}": json.dumps(value) for key, value in settings.items()}
    for group, settings in (("optimizer", ADAM), ("schedule.lr", POLY))
}
"""Groups that runs of before did not have, flat, as these runs were."""

LONGEST_COMPONENT = 120

ABSENT = "-"

OWN = "=custom"
"""The end of an option for a class of the user's, whose name and arguments stand in no file."""

Flat = dict[str, str]


def run_path(cfg: TrainConfig, choices: Choices) -> Path:
    """`<output_root>/<experiment>/<dataset>/<loss>/<strategy>[/<other settings>]/seed<seed>`.

    Other settings are those in which `cfg` (checked) differs from what the four names alone give: the options
    of their groups as they were chosen, and the values beside them: `schedule-small+model.features-16`. Two
    different runs never share a directory; equal ones do where the same options were chosen, in whatever
    order. `<dataset>` is the dataset's own name; where that is not its option's, this stands among the other
    settings. A loss of one's own is named by its class, which stands among them with its module.
    """
    chosen = [f"{group}={choices[group]}" for group in IDENTITY if choices.get(group, "None") != "None"]
    names = {group: displayed(cfg, choices).get(group, "None") for group in IDENTITY}
    experiment = "default" if names["experiment"] == "None" else names["experiment"]
    others = _other_settings(cfg, choices, chosen)
    option, name = names["dataset"], cfg.dataset.name
    is_ours = (
        CONF / "dataset" / f"{option}.yaml"
    ).is_file()  # a user's own option is the name that they gave
    if is_ours and name != option and re.fullmatch(r"\w[\w.+-]*", name):
        others = [f"dataset={option}", *(one for one in others if not one.startswith("dataset.name="))]
    else:
        name = option
    middle = [experiment, name, names["loss"], names["strategy"]]
    return Path(cfg.output_root, *middle, *_component(others), f"seed{cfg.seed}")


@cache
def _neutral() -> Flat:
    """Settings that are as if they were not there: runs of before do not name what they could not set."""
    defaults = {item.name: item.default for item in fields(TrainerConfig) if item.default is not MISSING}
    later = ("center_crop", "labels", "subject", "mask_suffix", "channels")
    absent = {f"dataset.{name}": "null" for name in later}
    absent["evaluation.cases"] = "null"
    return {"callbacks": "{}", **absent, **dict(_flatten({"trainer": defaults}, ""))}


def comparable(cfg: TrainConfig | DictConfig | dict[str, Any]) -> Flat:
    """The settings that decide a run's result, flat, as JSON: {"schedule.epochs": "300", ...}."""
    flat = _flatten(cfg if isinstance(cfg, dict) else plain(cfg), "")
    ignored = tuple(f"{name}." for name in NO_EFFECT)
    kept = {key: text for key, text in flat if not f"{key}.".startswith(ignored)}
    for group, before in OF_BEFORE.items():
        own = {key: text for key, text in kept.items() if f"{key}.".startswith(f"{group}.")}
        if own in (before, {group: "{}"}):
            kept = {key: text for key, text in kept.items() if key not in own}
    return {key: text for key, text in kept.items() if _neutral().get(key) != text}


def config_digest(cfg: TrainConfig) -> str:
    """Hash of `comparable(cfg)`; checkpoints carry it."""
    text = json.dumps(comparable(cfg), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def check_same_config(folder: Path, cfg: TrainConfig) -> None:
    """Raise `RunError` naming the differing keys if `folder` holds a run of another configuration."""
    path = folder / "config.yaml"
    if not path.is_file():
        return
    saved, asked = comparable(_read(path)), comparable(cfg)
    lines = [
        f"  - {key}: saved {saved.get(key, 'nothing')}, asked {asked.get(key, 'nothing')}"
        for key in sorted(saved.keys() | asked.keys())
        if saved.get(key) != asked.get(key)
    ]
    if lines:
        raise RunError(
            f"{folder} holds a run of another configuration:\n"
            + "\n".join(lines)
            + "\nuse another output_root, or force=true to start over here"
        )


def save_config(folder: Path, cfg: TrainConfig) -> None:
    """Write the resolved configuration to `config.yaml`."""
    write_text(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(plain(cfg))))


def load_config(folder: Path) -> TrainConfig:
    """Read a run's `config.yaml`; `RunError` if `folder` is no run directory or has a faulty one."""
    path = folder / "config.yaml"
    if not path.is_file():
        raise RunError(
            f"{folder}: expected a run directory that a training wrote, found no config.yaml in it"
        )
    try:
        return check(_read(path))
    except ConfigError as error:
        raise RunError(f"{path}: expected a configuration of this version of rwseg: {error}") from error


def _read(path: Path) -> DictConfig:
    try:
        cfg = OmegaConf.load(path)
    except (YAMLError, OmegaConfBaseException, *MALFORMED) as error:
        raise RunError(f"{path}: expected a configuration in YAML, got: {error}") from error
    if not isinstance(cfg, DictConfig):
        raise RunError(f"{path}: expected a configuration in YAML, got a list")
    return cfg


def _flatten(content: Any, prefix: str) -> Iterator[tuple[str, str]]:
    if isinstance(content, Mapping) and content:
        for key, value in content.items():
            yield from _flatten(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, json.dumps(_plain(content), separators=(",", ":"))


def _plain(value: Any) -> Any:
    """2.0 as 2: which of the two a setting is depends on who wrote it, where no schema says its type."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _other_settings(cfg: TrainConfig, choices: Choices, chosen: list[str]) -> list[str]:
    """`group=option` as they were chosen and `key=value` that give `cfg` when added to `chosen`."""
    asked, reference = comparable(cfg), _reference(*chosen)[1]
    plan = f"dataset.plan={cfg.dataset.plan}"  # first: other values are null because of it
    options = [plan] if "dataset.plan" in _differences(asked, chosen) else []
    groups = set(reference).difference(IDENTITY, NO_EFFECT)
    differing = {_group_of(key, groups) for key in _differences(asked, [*chosen, *options])}
    options += [
        f"{group}={choices[group]}"
        for group in sorted(groups & differing)
        if choices.get(group, reference[group]) != reference[group]
    ]
    rest = _differences(asked, [*chosen, *options])
    # The class of one's own is in the rest; a slash would make a folder.
    named = [option.replace("/", ".") for option in options if not option.endswith(OWN)]
    return [*named, *sorted(f"{key}={_text(key, value)}" for key, value in rest.items())]


def _group_of(key: str, groups: Iterable[str]) -> str:
    """The group whose setting it is: of `schedule.lr.interval` that is `schedule/lr`, not `schedule`."""
    owners = (group for group in groups if key.startswith(f"{group.replace('/', '.')}."))
    return max(owners, key=len, default="")


def _differences(asked: Flat, options: list[str]) -> Flat:
    expected, _ = _reference(*options)
    keys = (key for key in asked.keys() | expected.keys() if asked.get(key) != expected.get(key))
    return {key: asked.get(key, ABSENT) for key in keys if key != "seed"}


def _reference(*options: str) -> tuple[Flat, Choices]:
    """What `options` give; a class of the user's own (`OWN`) gives nothing but where it is a dataset's."""
    own = tuple(one for one in options if one.endswith(OWN) and not one.startswith("dataset="))
    flat, choices = _composed_with(search_path.get(), tuple(one for one in options if one not in own))
    left_out = tuple(option.removesuffix(OWN).replace("/", ".") + "." for option in own)
    return {key: text for key, text in flat.items() if not key.startswith(left_out)}, choices


@cache
def _composed_with(_: tuple[str, ...], options: tuple[str, ...]) -> tuple[Flat, Choices]:
    """What `options` give with the user's own ones in the search path.

    A user's data set may have no schedule, model or augmentation of its name: then it is the default one's.
    """
    try:
        cfg, choices = compose("train", options)
    except ConfigError as error:
        group = (getattr(error.__cause__, "missing_cfg_file", None) or "").partition("/")[0]
        if not group or any(option.startswith(f"{group}=") for option in options):
            raise
        return _composed_with(search_path.get(), (*options, f"{group}=phantom"))
    return comparable(resolved(cfg, TrainConfig, whole=False)), choices


def _text(key: str, value: str) -> str:
    """JSON as a part of a file's name: words without quotes, other signs as %XX."""
    composed = as_folder(value) if key == SETTING else None
    if composed is not None:
        return composed
    word = re.fullmatch(r'"([A-Za-z_][\w.-]*)"', value, re.ASCII)
    plain = word is not None and word[1] not in ("true", "false", "null")
    if word and plain:
        return word[1]
    lists = (
        quote(value, safe=",[]" + ABSENT).replace("],[", "_").replace(",", "x")
    )  # [[2,2],[2,1]] as 2x2_2x1
    return lists.replace("[", "").replace("]", "")


def _component(settings: list[str]) -> list[str]:
    """One folder name; `=` and commas would need quotes where Hydra reads it again, as in run_dir=DIR."""
    name = "+".join(setting.replace("=", "-", 1) for setting in settings)
    if len(name) > LONGEST_COMPONENT:
        digest = hashlib.blake2b(name.encode(), digest_size=6).hexdigest()
        name = f"{name[:LONGEST_COMPONENT]}-{digest}"
    return [name] if name else []
