"""The page's scripts in Node.js, and the page itself in Chromium: where an expression has a value."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chromium import Browser, browser

from rwseg.report.play import write_play_page
from rwseg.report.play.page import CORE, script

Evaluate = Callable[[str], Any]
"""The value of a JavaScript expression, arrays of numbers as lists."""

PLAIN = "JSON.stringify({}, (_, v) => (ArrayBuffer.isView(v) ? Array.from(v) : v))"


def node() -> Evaluate:
    """Evaluates with the scripts that compute, or skips where there is no Node.js."""
    path = shutil.which("node")
    if path is None:
        pytest.skip("no Node.js on this machine")

    def evaluate(expression: str) -> Any:
        source = f"{script(*CORE)}\nprocess.stdout.write({PLAIN.format(expression)});"
        done = subprocess.run([path, "-"], input=source, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return evaluate


def chromium(tab: Browser) -> Evaluate:
    """Evaluates in the open page."""
    return lambda expression: json.loads(tab.run(PLAIN.format(expression)))


def opened_page(folder: Path) -> Browser:
    """A browser that shows the page, or a skip where there is none; to be closed."""
    if browser() is None:
        pytest.skip("no Chromium on this machine")
    page = write_play_page(folder / "play.html")
    tab = Browser(folder / "profile").__enter__()
    tab.open(page)
    return tab
