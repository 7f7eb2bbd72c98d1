"""Lock files as filelock writes them, of processes that are not this one."""

from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import SoftFileLease

NO_PROCESS = 2**22 + 1
"""Beyond the highest number of a process."""


def write_lock(path: Path, duration: float, **changes: object) -> None:
    """The lock file that this process would write, with other values in its lines; None: without the line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, SoftFileLease(Path(folder, "own"), lease_duration=duration) as own:
        first, *lines = Path(own.lock_file).read_text().splitlines()
    fields = {**dict(line.split("=") for line in lines), "token": "0a1b", **changes}
    kept = [f"{key}={value}\n" for key, value in fields.items() if value is not None]
    path.write_text("".join([f"{first}\n", *kept]))
