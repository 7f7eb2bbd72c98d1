"""Showing a page on the machine where it was written."""

import os
import sys
import webbrowser
from pathlib import Path


def open_in_browser(path: Path) -> bool:
    """Open a page in the user's browser; returns whether there is one that could be started."""
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False  # a browser for the terminal would take it over, and runs no scripts
    try:
        return webbrowser.open(path.resolve().as_uri())
    except webbrowser.Error:
        return False
