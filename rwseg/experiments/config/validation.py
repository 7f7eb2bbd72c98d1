"""A configuration checked against its schema and the rules, and made an object of it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, overload

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException
from pydantic import ValidationError

from rwseg.core.constraints import TAGS, is_own
from rwseg.core.errors import ConfigError
from rwseg.core.paths import from_home, is_at_home
from rwseg.experiments.config.names import keys_of_schema, suggestion
from rwseg.experiments.config.rules import evaluate_rules, predict_rules, train_rules
from rwseg.experiments.config.schema import (
    FOR_TRAINING,
    TYPED,
    EvaluateConfig,
    PredictConfig,
    TrainConfig,
)

RULES: Mapping[type, Callable[[Any], Iterator[str]]] = {
    TrainConfig: train_rules,
    EvaluateConfig: evaluate_rules,
    PredictConfig: predict_rules,
}

TO_GIVE = {
    "run_dir": "a directory that a training wrote, such as outputs/default/phantom/rrw/alone/seed0",
    "input": "a folder of images to predict",
    "output": "a folder for the predictions",
}

HYDRA_SETTINGS = "https://hydra.cc/docs/configure_hydra/intro"

Schema = TypeVar("Schema")


@overload
def check(cfg: Any) -> TrainConfig: ...
@overload
def check(cfg: Any, schema: type[Schema]) -> Schema: ...
def check(cfg: Any, schema: Any = TrainConfig) -> Any:
    """Return `cfg` as an object of its schema, resolved; 1 becomes 1.0 where a float belongs.

    Raises `ConfigError` with a line for all that `resolved` or `inspect` found.
    """
    checked, faults = inspect(resolved(cfg, schema), schema)
    if faults:
        raise ConfigError("\n".join(faults))
    return checked


def inspect(
    content: Mapping[str, Any], schema: type[Schema], with_rules: bool = True
) -> tuple[Schema, list[str]]:
    """`content` (resolved) as an object, and a line for each value out of range and each rule it breaks."""
    faults: list[str] = []
    try:
        made = schema(**content)
    except ValidationError as error:
        made = _unchecked(content, schema)
        faults += [_sentence(fault) for fault in error.errors(include_url=False)]
    if schema is not TrainConfig:
        faults += unread(content)
    return made, [*faults, *(RULES[schema](made) if with_rules else [])]


def unread(content: Mapping[str, Any]) -> Iterator[str]:
    """Settings of Lightning's Trainer that are for a training, and that an evaluation would pass over."""
    for key, default in FOR_TRAINING.items():
        value = content["trainer"][key.partition(".")[2]]
        if value != default:
            advice = "an evaluation takes trainer.accelerator, precision and threads"
            yield f"{key}={value}: expected no such setting, got one; {advice}"


def _sentence(fault: Any) -> str:
    """pydantic's error as `schedule.epochs: expected greater than 0, got 0`; words of ours as they are."""
    parts = (part for part in fault["loc"] if part not in TAGS)
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    words = fault["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    return f"{place[1:]}: {words}" + ("" if ", got " in words else f", got {fault['input']}")


def _unchecked(content: Mapping[str, Any], schema: Any) -> Any:
    """The object that `schema(**content)` would be if it took everything."""
    made = object.__new__(schema)
    for item in fields(schema):
        value = content[item.name]
        kind = item.type if is_own(value) else TYPED.get(item.name, item.type)
        is_group = isinstance(kind, type) and is_dataclass(kind) and isinstance(value, Mapping)
        setattr(made, item.name, _unchecked(value, kind) if is_group else value)
    return made


def resolved(cfg: Any, schema: type, whole: bool = True) -> dict[str, Any]:
    """The content of `cfg` in dicts and lists, of the types of `schema`, with the home directory for `~`.

    Raises `ConfigError` naming the first unknown key or mistyped value, or, where it is to be `whole`, all
    missing values.
    """
    try:
        given = cfg if isinstance(cfg, DictConfig) else OmegaConf.create(plain(cfg))
        typed = given if OmegaConf.get_type(given) is schema else OmegaConf.merge(_structure(schema), given)
        assert isinstance(typed, DictConfig)
        content = OmegaConf.to_container(with_types(typed), resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(in_words(error, schema)) from error
    missing: list[str] = []
    settled = _settled(content, "", missing)
    if missing and whole:
        lines = (f"{key}: expected {_to_give(key)}, got none; give {key}=..." for key in sorted(missing))
        raise ConfigError("\n".join(lines))
    assert isinstance(settled, dict)
    return settled


def _to_give(key: str) -> str:
    is_target = key.endswith("._target_")
    return TO_GIVE.get(key, "MODULE.NAME of a class or a function" if is_target else "a value")


def with_types(cfg: DictConfig) -> DictConfig:
    """`cfg` with the groups of `TYPED` as their schemas have them, unless they are of the user's own.

    Raises OmegaConf's errors for an unknown key or a mistyped value.
    """
    for group, schema in TYPED.items():
        given = OmegaConf.select(cfg, group)
        if given is not None and not is_own(given) and OmegaConf.get_type(given) is not schema:
            try:
                cfg[group] = OmegaConf.merge(_structure(schema), given)
            except OmegaConfBaseException as error:
                error.full_key = f"{group}.{error.full_key}"
                raise
    return cfg


def plain(cfg: Any) -> dict[str, Any]:
    """A configuration in dicts and lists, as YAML has it."""
    is_composed = isinstance(cfg, DictConfig)
    content: Any = OmegaConf.to_container(cfg, resolve=True) if is_composed else _settled(asdict(cfg), "", [])
    assert isinstance(content, dict)
    return content


def _settled(value: Any, key: str, missing: list[str]) -> Any:
    """Lists for tuples and the home directory for `~`, wherever the text came from; notes what is missing."""
    if isinstance(value, dict):
        return {
            name: _settled(item, f"{key}.{name}" if key else name, missing) for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_settled(item, f"{key}.{number}", missing) for number, item in enumerate(value)]
    if value == "???":
        missing.append(key)
    if not isinstance(value, str) or not is_at_home(value):
        return value
    try:
        return from_home(value)
    except ValueError as error:
        raise ConfigError(f"{key}: {error}") from error


@cache
def _structure(schema: type) -> DictConfig:
    """The schema for OmegaConf, made once; to be read only."""
    structure = OmegaConf.structured(schema)
    assert isinstance(structure, DictConfig)
    return structure


def in_words(error: OmegaConfBaseException, schema: type) -> str:
    """OmegaConf's message with the full key in front of it; for an unknown key the nearest one there is."""
    key = error.full_key or str(error.key or "")
    if isinstance(error, ConfigKeyError | ConfigAttributeError):
        is_ours = not key.startswith("hydra.")
        near = suggestion(key, list(keys_of_schema(schema))) if is_ours else f"; see {HYDRA_SETTINGS}"
        return f"unknown key '{key}'{near}"
    text = str(error).splitlines()[0]
    return f"{key}: {text}" if key else text
