"""Where the options of every group lie, and the resolvers that their files use."""

import shlex
from os.path import expanduser
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from rwseg.core.program import typed

_PACKAGE = Path(__file__).resolve().parents[2]
_WHEEL, _CHECKOUT = _PACKAGE / "conf", _PACKAGE.parent / "conf"
CONF = _WHEEL if _WHEEL.is_dir() else _CHECKOUT
"""The options of every group: `conf/` of a checkout, which a wheel holds as `rwseg/conf` (setup.py)."""


def _fixed(value: Any, planned: Any = None, *, _root_: DictConfig) -> Any:
    """`${fixed:[256,224]}`: a value of the fixed plan; null (or a 2nd argument) where dataset.plan=auto."""
    chosen = planned if _root_.dataset.plan == "auto" else value
    return OmegaConf.create(chosen) if isinstance(chosen, list) else chosen


OmegaConf.register_new_resolver("fixed", _fixed, replace=True)


def _folder_name(root: str) -> str:
    """`${folder_name:/data/retina}`: `retina`, what a dataset is called by its folder."""
    return Path(expanduser(root)).absolute().name


def _settings_of(dataset: str) -> str:
    """`${settings_of:${dataset}}`: the schedule, model and augmentation of a dataset, or of an own one."""
    return "nnunet" if dataset == "custom" else dataset


OmegaConf.register_new_resolver("settings_of", _settings_of, replace=True)
OmegaConf.register_new_resolver("folder_name", _folder_name, replace=True)
OmegaConf.register_new_resolver("from_home", expanduser, replace=True)  # for what Hydra itself writes
OmegaConf.register_new_resolver("command", lambda: shlex.join(typed()), replace=True)  # for --help
