"""Classes and functions that a configuration names, called with what follows from data and schedule."""

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any

from hydra.utils import instantiate

from rwseg.core.errors import ConfigError
from rwseg.core.own_code import OwnCodeError, named_object
from rwseg.experiments.config.targets import USES, Target, Use, argument_faults


def located(key: str, settings: Mapping[str, Any]) -> Any:
    """The class or function that `settings` name by `_target_`.

    Raises `ConfigError` where it cannot be imported or does not take its arguments.
    """
    target = Target(key, settings["_target_"], settings)
    try:
        found = named_object(target.path)
    except OwnCodeError as error:
        raise ConfigError(f"{target.given}: {error}") from error
    faults = list(argument_faults(target, found))
    if faults:
        raise ConfigError("\n".join(faults))
    return found


def callable_of(key: str, settings: Mapping[str, Any], known: Mapping[str, Any]) -> partial[Any]:
    """What `settings` name by `_target_`, with their other entries as its arguments; nothing is called yet.

    A value of `known` is filled in where a parameter has its name and `settings` do not give it. Raises as
    `located`.
    """
    use = USES.get(key, Use())
    parameters = inspect.signature(located(key, settings)).parameters
    arguments = {name: value for name, value in known.items() if name in parameters}
    arguments |= {name: value for name, value in settings.items() if name not in use.beside}
    made = instantiate({**arguments, "_partial_": True}, _convert_="all")
    assert isinstance(made, partial)
    return made
