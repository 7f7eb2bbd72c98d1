"""Fixtures of general use."""

import errno
import importlib
import os
import signal
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose as hydra_compose
from omegaconf import DictConfig

from rwseg.data.datasets.phantom import write_phantom
from rwseg.training.results import draw_figures

collect_ignore_glob = ["*/conftest.py"]
"""They hold no doctests, and Python tells modules of one name in two folders apart only by chance."""

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A job in the background of a shell is deaf to Ctrl-C; so would be the processes that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU where there is none."""
    if item.get_closest_marker("cuda") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


@pytest.fixture(scope="session", autouse=True)
def composed_once() -> Iterator[None]:
    """What Hydra composes of the package's own files it composes once for all tests of a process."""
    known: dict[tuple[str, ...], DictConfig] = {}

    def compose(config_name: str, overrides: list[str], return_hydra_config: bool) -> DictConfig:
        key = (config_name, *overrides)
        if key not in known:
            known[key] = hydra_compose(config_name, overrides, return_hydra_config)
        return deepcopy(known[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rwseg.experiments.composition.hydra_compose", compose)
        yield


@pytest.fixture(scope="session")
def phantom_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom of 4 subjects (2 train, 2 val); read only: copy it before changing anything."""
    root = tmp_path_factory.mktemp("data") / "phantom"
    write_phantom(root, subjects=4)
    return root


@pytest.fixture(scope="session")
def acdc_root() -> Path:
    """The real ACDC data; skips where it is not there."""
    root = Path(__file__).parents[2] / "shared" / "data" / "acdc"
    if not root.is_dir():
        pytest.skip(f"real ACDC data is not at {root}")
    return root


TINY = [
    "trainer=cpu",
    "workers=1",  # more would take longer to start than these data to prepare
    "model.features=4",
    "schedule.epochs=3",
    "schedule.batches_per_epoch=4",
    "dataset.patch_size=[32,48]",
    "dataset.batch_size=3",
    "evaluation.flips=false",
]
"""Overrides of a run that takes a second or two on the phantom."""


@pytest.fixture
def no_run_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in this process draw no figures, which would take half their time."""
    monkeypatch.setattr("rwseg.training.results.draw_figures", lambda *_: [])


@pytest.fixture
def with_figures(tiny: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of `tiny` draws its figures."""
    monkeypatch.setattr("rwseg.training.results.draw_figures", draw_figures)


@pytest.fixture(scope="session")
def prepared_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of prepared data for all runs that do not test the preparation itself."""
    return tmp_path_factory.mktemp("prepared")


@pytest.fixture
def four_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Directories of runs have no part for other settings: to find it composes configurations anew for every
    dataset and experiment. `test_run_path.py` tests that part."""
    monkeypatch.setattr("rwseg.experiments.run_directory._other_settings", lambda *_: [])


@pytest.fixture
def tiny(phantom_root: Path, prepared_root: Path, tmp_path: Path, no_run_figures: None) -> list[str]:
    """Overrides of `TINY` with the run's own folder in `tmp_path`; figures only `with_figures`."""
    return [
        *TINY,
        f"dataset.root={phantom_root}",
        f"output_root={tmp_path / 'outputs'}",
        f"prepared_root={prepared_root}",
    ]


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Let a folder be read only: as a mount that is, which no mode of files can be for root."""

    def protect(folder: Path) -> None:
        def guard(module: str, name: str, writes: Callable[..., bool]) -> None:
            real = getattr(importlib.import_module(module), name)

            def guarded(path: Any, *more: Any, **named: Any) -> Any:
                inside = isinstance(path, str | Path) and Path(path).absolute().is_relative_to(folder)
                if inside and writes(*more, **named):
                    raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
                return real(path, *more, **named)

            monkeypatch.setattr(f"{module}.{name}", guarded)

        for name in ("mkdir", "rename", "replace", "unlink", "rmdir", "utime", "link", "symlink"):
            guard("os", name, lambda *_, **__: True)
        guard("os", "open", lambda flags, *_, **__: bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)))
        for module in ("builtins", "io"):
            guard(module, "open", lambda mode="r", *_, **__: not set(mode).isdisjoint("wax+"))

    return protect
