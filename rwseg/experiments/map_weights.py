"""The weights of maps that a run's callbacks ask for: checked before it begins, their files prepared."""

from collections.abc import Sequence

import pytorch_lightning as pl

from rwseg.core.build_once import BESIDE, CACHE
from rwseg.core.errors import ConfigError
from rwseg.data.case import Dataset
from rwseg.data.preprocessing.pixel_files import ensure_pixel_files
from rwseg.data.preprocessing.prepared import Prepared
from rwseg.experiments.config.schema import TrainConfig
from rwseg.experiments.prepared_run import source_of, workers
from rwseg.losses import build_loss, check_weighable
from rwseg.training.callbacks.map_weights import MapWeights


def check_map_weights(cfg: TrainConfig, dataset: Dataset, callbacks: Sequence[pl.Callback]) -> None:
    """Raise `ConfigError` where the loss has no map to be weighed, or two callbacks have files."""
    own = _own(callbacks)
    if not own:
        return
    names = [type(one).__name__ for one in own]
    if sum(one.folder is not None for one in own) > 1:
        raise ConfigError(
            f"callbacks: expected files for one of {', '.join(names)}, got several; multiply the files"
        )
    try:
        check_weighable(build_loss(cfg), f"loss={cfg.loss['_target_']}", len(source_of(cfg, dataset).classes))
    except ValueError as error:
        raise ConfigError(f"callbacks: {names[0]} weighs region maps: {error}") from error


def weighs_pixels(callbacks: Sequence[pl.Callback]) -> bool:
    """Whether a callback has files by pixel."""
    return any(one.folder is not None for one in _own(callbacks))


def prepared_pixels(cfg: TrainConfig, data: Prepared, callbacks: Sequence[pl.Callback]) -> str | None:
    """Prepare the pixel files of the callbacks in `data`, from which `cfg` trains; None where there are none.

    What is returned has a hash of them. Raises `ConfigError` where callbacks and cases do not fit, and
    `DataError` for faulty files.
    """
    cases, own = data.split("train"), _own(callbacks)
    for one in own:
        one.check(cases)
    for folder in (one.folder for one in own if one.folder is not None):
        setting = BESIDE if cfg.dataset.cache is None else CACHE
        return ensure_pixel_files(data, cases, folder, workers(cfg), setting)
    return None


def _own(callbacks: Sequence[pl.Callback]) -> list[MapWeights]:
    return [one for one in callbacks if isinstance(one, MapWeights)]
