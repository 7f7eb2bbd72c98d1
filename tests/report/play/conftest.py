"""The page in a browser, opened once for a module."""

from collections.abc import Iterator

import engines
import pytest
from chromium import Browser


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    opened = engines.opened_page(tmp_path_factory.mktemp("play"))
    yield opened
    opened.close()


@pytest.fixture(scope="module", params=["node", "chromium"])
def evaluate(request: pytest.FixtureRequest) -> engines.Evaluate:
    if request.param == "node":
        return engines.node()
    return engines.chromium(request.getfixturevalue("tab"))
