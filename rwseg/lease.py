"""Who may write a folder that processes of several machines share, without locks of the file system.

Locks are refused, ignored or kept for ever by many shared file systems. Here a claim is a numbered file
that only one process can make (O_EXCL), and its holder changes a counter beside it every few seconds. Whoever
wants the folder watches the counter by its own clock, so that clocks that differ do not matter: a claim whose
counter stands still for `PATIENCE` seconds, or whose process is gone from this machine, may be taken over by
making the next number. A holder that finds a higher number has lost its claim (`Lease.check`).

    0001          the claim: process and token of its holder, written once
    0001-<token>  its counter
    0001.free     the claim, after it was given back
"""

import json
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Self

from rwseg.errors import ClaimLostError
from rwseg.process import Process, is_gone, is_here, this_process

PATIENCE = 120.0
"""Seconds without a sign of life after which a claim may be taken over."""

BEATS = 8
"""Signs of life in that time: one that is late, as when a server restarts, costs nobody a claim."""

LOOKS = 240
"""Looks of one that waits, in that time."""


@dataclass(frozen=True)
class Claim:
    """What stands in the folder: the highest number, and its holder where that can be read.

    `number` 0: nobody ever claimed it. `count` is the counter as it was read.
    """

    number: int
    free: bool
    holder: Process | None = None
    token: str = ""
    count: bytes = b""


def look(place: Path) -> Claim:
    """Read the claim in the folder `place`, which need not be there."""
    numbers = dict(_numbers(place))
    if not numbers:
        return Claim(0, free=True)
    number = max(numbers)
    if numbers[number]:
        return Claim(number, free=True)
    try:
        content = json.loads((place / _name(number)).read_text(encoding="utf-8"))
        token, holder = str(content["token"]), Process(**content["process"])
    except (OSError, ValueError, KeyError, TypeError):
        return Claim(number, free=False)  # given back meanwhile, or its maker is just writing, or died at it
    try:
        count = (place / f"{_name(number)}-{token}").read_bytes()
    except OSError:
        count = b""
    return Claim(number, False, holder, token, count)


class Watch:
    """Looks at the claim in the folder `place` again and again, and takes it once it may be taken."""

    def __init__(self, place: Path, patience: float = PATIENCE) -> None:
        self.place = place
        self.patience = patience
        self.claim: Claim | None = None
        self.is_alive = False
        """Whether the holder has shown a sign of life, or is a process of this machine."""
        self.is_gone = False
        """Whether the holder is a process of this machine that has ended."""
        self._since = 0.0

    def take(self) -> "Lease | None":
        """The lease, where nobody holds the claim any more; None where somebody may. Raises `OSError`."""
        claim, now = look(self.place), time.monotonic()
        self.is_gone = claim.holder is not None and is_gone(claim.holder)
        if claim != self.claim:
            same = self.claim is not None and claim.token == self.claim.token != ""
            self.is_alive = same or (claim.holder is not None and is_here(claim.holder))
            self.claim, self._since = claim, now
        if claim.free or self.is_gone or now - self._since > self.patience:
            return _make(self.place, claim.number + 1, self.patience)
        return None

    def wait(self) -> None:
        """Let a moment pass before the next look."""
        time.sleep(self.patience / LOOKS)

    def __str__(self) -> str:
        holder = None if self.claim is None else self.claim.holder
        return "an unknown process" if holder is None else str(holder)


class Lease:
    """A claim that this process holds: a context manager that gives signs of life and gives it back."""

    def __init__(self, place: Path, number: int, token: str, patience: float) -> None:
        self.place = place
        self.number = number
        self.token = token
        self._pause = patience / BEATS
        self._ended = Event()
        self._lost = False
        self._thread = Thread(target=self._beat, name=f"lease of {place}", daemon=True)

    @property
    def is_lost(self) -> bool:
        """Whether another process has taken the claim over, or the folder is gone. Raises `OSError`."""
        self._lost = self._lost or not self._is_ours()
        return self._lost

    def check(self) -> None:
        """Raise `ClaimLostError` where the claim is lost: nothing may be written any more."""
        if self.is_lost:
            raise ClaimLostError(
                f"{self.place.parent}: expected to be its only writer, but another process took it over "
                "while this one gave no sign of life, or its claim was deleted; this process writes nothing "
                "more. If the other one is not wanted, stop it and start again"
            )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        with suppress(OSError):  # what is left is given back all the same, by this process ending
            if not self.is_lost:
                own = self.place / _name(self.number)
                own.rename(own.with_suffix(".free"))
            self._counter.unlink(missing_ok=True)

    @property
    def _counter(self) -> Path:
        return self.place / f"{_name(self.number)}-{self.token}"

    def _beat(self) -> None:
        count = 0
        while not self._ended.wait(self._pause):
            count += 1
            with suppress(
                OSError
            ):  # a server that is away, perhaps: others will see whether it lasts too long
                if self.is_lost:
                    return
                _write_count(self._counter, count)

    def _is_ours(self) -> bool:
        """Reads the claim itself too: lists of files may be old ones, and a successor removes the claim."""
        try:
            content = (self.place / _name(self.number)).read_text(encoding="utf-8")
        except FileNotFoundError:
            return False
        numbers = dict(_numbers(self.place))
        latest = max(numbers, default=0) == self.number and not numbers[self.number]
        return latest and self.token in content


def _make(place: Path, number: int, patience: float) -> Lease | None:
    """Make the claim `number`; None where another process was faster."""
    place.mkdir(parents=True, exist_ok=True)
    path, token = place / _name(number), secrets.token_hex(8)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return None
    try:
        with open(file, "w", encoding="utf-8") as stream:
            json.dump({"token": token, "process": asdict(this_process())}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        lease = Lease(place, number, token, patience)
        _write_count(lease._counter, 0)
        numbers = dict(_numbers(place))
        beaten = max(numbers, default=number) > number or numbers.get(number, False)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    if beaten:  # a list of files that was old: the number had been used and cleared away
        path.unlink(missing_ok=True)
        lease._counter.unlink(missing_ok=True)
        return None
    _clear(place, number)
    return lease


def _write_count(path: Path, count: int) -> None:
    """In place, not by a rename: a full disk must not end the signs of life, and any change is one."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        os.pwrite(file, b"%012d" % count, 0)
        os.fsync(file)
    finally:
        os.close(file)


def _clear(place: Path, number: int) -> None:
    """Remove what earlier claims left. Numbers only grow, so nobody asks for it again."""
    for path in place.iterdir():
        found = re.match(r"\d{4,}", path.name)
        if found and int(found[0]) < number:
            path.unlink(missing_ok=True)


def _numbers(place: Path) -> Iterator[tuple[int, bool]]:
    """Number of each claim in the folder, and whether it was given back."""
    with suppress(FileNotFoundError):
        names = os.listdir(place)
        found = [re.fullmatch(r"(\d{4,})(\.free)?", name) for name in names]
        # a number that was given back may still stand beside its claim: it counts as given back
        yield from sorted((int(match[1]), match[2] is not None) for match in found if match)


def _name(number: int) -> str:
    return f"{number:04d}"
