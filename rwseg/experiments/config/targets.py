"""Classes and functions that a configuration names: found, their arguments checked, before a job starts."""

import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache, reduce
from inspect import Parameter, isroutine, signature
from typing import Any, NamedTuple

from rwseg.core.own_code import OwnCodeError, named_object
from rwseg.experiments.config.conf import CONF
from rwseg.experiments.config.names import suggestion
from rwseg.experiments.config.schema import Choices

CUSTOM = "custom"
"""The option of a group that is a `_target_` to be given, and nothing else."""

LOSSES = ("loss", "strategy.partner")
"""What is called with logits and labels."""


class Use(NamedTuple):
    """What we add when we call a class: so many arguments before all others, and some by name if it has them.

    Settings `beside` its arguments are for us. A `function` may be called later, with all that it lacks.
    """

    positional: int = 0
    named: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    function: bool = False


USES: Mapping[str, Use] = {
    "model": Use(named=("in_channels", "out_channels", "num_classes", "spatial_dims", "img_size")),
    "optimizer": Use(1, ("lr", "weight_decay")),
    "schedule.lr": Use(1, ("T_max", "total_steps", "poly_power"), beside=("interval", "monitor")),
    "augment": Use(function=True),
}
"""By the keys of classes; any other one gets its settings alone."""

_HYDRA = ("_target_", "_partial_", "_args_", "_recursive_", "_convert_")


class Target(NamedTuple):
    """A node of a configuration with a `_target_`: `key` is `loss`, `callbacks.mine`, ..."""

    key: str
    path: str
    node: Mapping[str, Any]

    @property
    def given(self) -> str:
        """As it is given on a command line."""
        return f"{self.key}._target_={self.path}"


def targets_of(content: Any, prefix: str = "") -> Iterator[Target]:
    """Every node of a configuration, in dicts and lists, that names a class or function to be called."""
    if isinstance(content, Mapping):
        path = content.get("_target_")
        if isinstance(path, str):
            yield Target(prefix, path, content)
        for key, value in content.items():
            yield from targets_of(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(content, list):
        for number, value in enumerate(content):
            yield from targets_of(value, f"{prefix}[{number}]")


def is_ours(path: str) -> bool:
    """Whether a `_target_` lies in rwseg, whose options say all arguments."""
    return path.startswith("rwseg.")


def own_prefixes(known: Mapping[str, str], given: Mapping[str, Any]) -> tuple[str, ...]:
    """`loss.`, ...: below these stand the arguments of classes that are not rwseg's.

    `known` are the classes of the chosen options by their keys, `given` the settings of a command line.
    """
    paths = {
        **known,
        **{key.removesuffix("._target_"): path for key, path in given.items() if key.endswith("._target_")},
    }
    return tuple(f"{key}." for key, path in paths.items() if not is_ours(str(path)))


def displayed(cfg: Any, choices: Choices) -> Choices:
    """`choices` of a checked configuration with a class's name for `custom`: `MyLoss` for `mine.MyLoss`.

    A group in another is `schedule.lr`: trackers make folders of names with slashes.
    """
    return {
        group.replace("/", "."): _class_name(cfg, group) if option == CUSTOM else option
        for group, option in choices.items()
    }


def _class_name(cfg: Any, group: str) -> str:
    node = reduce(lambda part, name: getattr(part, name, None), group.split("/"), cfg)
    path = node.get("_target_") if isinstance(node, Mapping) else None
    return CUSTOM if path is None else str(path).rpartition(".")[2]


def target_faults(content: Any, given: Collection[str], choices: Choices) -> Iterator[str]:
    """What is wrong with classes that are not those of our own options, a line each.

    `given` are the keys on the command line. Modules are imported for it, those of our options are not.
    """
    for target in targets_of(content):
        if target.path in _shipped() and f"{target.key}._target_" not in given:
            continue
        try:
            found = named_object(target.path)
        except OwnCodeError as error:
            yield f"{target.given}: {error}"
            continue
        if callable(found):
            yield from argument_faults(target, found, given, choices)
        else:
            yield f"{target.given}: expected a class or a function, got {found!r}"


@cache
def _shipped() -> frozenset[str]:
    """The classes of our own options."""
    texts = (file.read_text(encoding="utf-8") for file in CONF.rglob("*.yaml"))
    return frozenset(path for text in texts for path in re.findall(r"_target_: ([\w.]+)", text))


def argument_faults(
    target: Target, found: Any, given: Collection[str] = (), choices: Choices | None = None
) -> Iterator[str]:
    """Arguments that it does not take or lacks; none where Python does not know what it takes."""
    use = USES.get(target.key, Use())
    try:
        parameters = list(signature(found).parameters.values())
    except (TypeError, ValueError):
        return
    names = [one.name for one in parameters if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD)]
    asked = [key for key in target.node if key not in _HYDRA and key not in use.beside]
    if not any(one.kind == one.VAR_KEYWORD for one in parameters):
        for name in asked:
            if name not in names:
                near = suggestion(name, names) or f"; it takes {', '.join(names) or 'none'}"
                origin = "" if f"{target.key}.{name}" in given else _origin(target, choices or {})
                fault = f"expected an argument of {target.path}, got {name!r}"
                yield f"{target.key}.{name}: {fault}{near}{origin}"
    positional = use.positional + len(target.node.get("_args_") or ())
    lacking = _lacking(parameters, [*asked, *use.named], positional)
    if not lacking or target.node.get("_partial_") or (use.function and isroutine(found)):
        return
    if target.key in LOSSES and isroutine(found) and len(lacking) == 2:
        yield (
            f"{target.given}: expected +{target.key}._partial_=true with a function that is itself called "
            f"with {lacking[0]} and {lacking[1]}, got none"
        )
        return
    for name in lacking:
        give = f"give +{target.key}.{name}=..."
        yield f"{target.given}: expected a value for its argument {name}, got none; {give}"


def _lacking(parameters: list[Parameter], asked: list[str], positional: int) -> list[str]:
    """Arguments without a default that nothing is given for."""
    places = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    open_ones = [one for one in parameters if one.kind in places][positional:]
    open_ones += [one for one in parameters if one.kind == Parameter.KEYWORD_ONLY]
    return [one.name for one in open_ones if one.default is Parameter.empty and one.name not in asked]


def _origin(target: Target, choices: Choices) -> str:
    """Where an argument comes from that was not given on the command line."""
    option = choices.get(target.key)
    if option is None or not (CONF / target.key / f"{CUSTOM}.yaml").is_file():
        return ""
    advice = f"{target.key}={CUSTOM} {target.given} has none but yours"
    return f"; it stands in {target.key}={option}: {advice}"
