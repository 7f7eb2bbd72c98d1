"""Fixtures of general use."""

from pathlib import Path

import pytest

from rwseg.data.phantom import write_phantom


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
