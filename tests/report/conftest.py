"""Studies that are made once for all tests of figures and page; read only.

The modules that use them are of the group `studies`: one process makes them, and runs all of these tests.
"""

from pathlib import Path

import pytest
import study

from rwseg.report.comparison.comparison import Comparison


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """Three methods with pictures."""
    comparison = study.three_methods(tmp_path_factory.mktemp("three"))
    study.add_pictures(comparison, overlays=2)
    study.add_showcases(comparison)
    study.add_reliability(comparison)
    return study.again(comparison)


@pytest.fixture(scope="session")
def fourteen(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """As many methods as the committed study has, with pictures."""
    comparison = study.fourteen_methods(tmp_path_factory.mktemp("fourteen"))
    study.add_pictures(comparison)
    study.add_showcases(comparison)
    study.add_reliability(comparison)
    return study.again(comparison)


@pytest.fixture(scope="session")
def long(fourteen: Comparison) -> Comparison:
    """`fourteen` with long names."""
    return study.long_names(fourteen)


@pytest.fixture(scope="session")
def page_of_three(three: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of `three`."""
    return study.written(three, tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="session")
def page_of_fourteen(fourteen: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of `fourteen`."""
    return study.written(fourteen, tmp_path_factory.mktemp("page"))
