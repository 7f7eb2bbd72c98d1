"""Which code a run is made by: the commit of a checkout, or the version of an installed package."""

import hashlib
import subprocess
from pathlib import Path

from rwseg import __version__
from rwseg.experiments.config.conf import CONF

PACKAGE = Path(__file__).resolve().parents[1]


def code_version() -> str | None:
    """Commit of this checkout, `-dirty` with uncommitted changes; None without git.

    Of an installed wheel `v0.1.0+<hash of its modules>`: a repository that it lies in is another one.
    """
    if CONF.parent == PACKAGE:
        return f"v{__version__}+{_digest(PACKAGE)}"
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=PACKAGE,
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None


def _digest(package: Path) -> str:
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
