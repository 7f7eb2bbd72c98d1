"""Fixtures of general use."""

import signal
from pathlib import Path

import pytest

from rwseg.data.phantom import write_phantom
from rwseg.outcome import draw_figures

collect_ignore_glob = ["*/conftest.py"]
"""They hold no doctests, and Python tells modules of one name in two folders apart only by chance."""

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A job in the background of a shell is deaf to Ctrl-C; so would be the processes that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
    monkeypatch.setattr("rwseg.outcome.draw_figures", lambda *_: [])


@pytest.fixture
def with_figures(tiny: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of `tiny` draws its figures."""
    monkeypatch.setattr("rwseg.outcome.draw_figures", draw_figures)


@pytest.fixture(scope="session")
def prepared_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of prepared data for all runs that do not test the preparation itself."""
    return tmp_path_factory.mktemp("prepared")


@pytest.fixture
def four_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Directories of runs have no part for other settings: to find it composes 12 configurations anew for
    every dataset and experiment, seconds in each test. `tests/test_rundir.py` tests that part."""
    monkeypatch.setattr("rwseg.rundir._other_settings", lambda cfg, chosen: [])


@pytest.fixture
def tiny(phantom_root: Path, prepared_root: Path, tmp_path: Path, no_run_figures: None) -> list[str]:
    """Overrides of `TINY` with the run's own folder in `tmp_path`; figures only `with_figures`."""
    return [
        *TINY,
        f"dataset.root={phantom_root}",
        f"output_root={tmp_path / 'outputs'}",
        f"prepared_root={prepared_root}",
    ]
