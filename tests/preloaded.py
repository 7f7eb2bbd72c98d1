"""Commands for tests, in processes of their own that need not import what takes seconds to import.

`Popen` and `run` are those of `subprocess` for `[sys.executable, SCRIPT, ...]` or `-c CODE`. A server,
one of each process of pytest, has imported the heavy modules and done nothing else. A process is forked from
it and handed to this one: its number, signals, exit status and group are those of a child of this process.
Where there is no Linux they are those of `subprocess`, and take the seconds.

What Python, OpenMP and the modules read while they start, and the seed of hashes, are the server's: whoever
tests the start itself, an installed command or torchrun takes `subprocess`.
"""

import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import types
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("rwseg.experiments.run", "rwseg.training.figures")
LONGEST_MESSAGE = 2**17
SET_CHILD_SUBREAPER = 36  # of Linux's prctl


class _Forked(subprocess.Popen[str]):
    """`subprocess.Popen`, but for `_execute_child`, which asks the server for the process."""

    def _execute_child(
        self, args: Sequence[str], executable: Any, preexec_fn: Any, close_fds: bool, pass_fds: Any,
        cwd: Path | None, env: dict[str, str] | None, startupinfo: Any, creationflags: int, shell: bool,
        p2cread: int, p2cwrite: int, c2pread: int, c2pwrite: int, errread: int, errwrite: int,
        restore_signals: bool, gid: Any, gids: Any, uid: Any, umask: int,
        start_new_session: bool, process_group: int,
    ) -> None:  # fmt: skip
        assert args[0] == sys.executable, f"expected a command of {sys.executable}, got {args[0]}"
        order = {
            "arguments": list(args[1:]),
            "folder": str(cwd or Path.cwd()),
            "environment": dict(os.environ if env is None else env),
            "session": start_new_session,
        }
        files = [given if given != -1 else own for own, given in enumerate((p2cread, c2pwrite, errwrite))]
        server = _server()
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        assert prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0, os.strerror(ctypes.get_errno())
        try:
            socket.send_fds(server, [json.dumps(order).encode()], files)
            self.pid = int(server.recv(LONGEST_MESSAGE))
            assert server.recv(LONGEST_MESSAGE) == b"yours"
        finally:
            prctl(SET_CHILD_SUBREAPER, 0, 0, 0, 0)
        self._child_created = True
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)  # type: ignore[attr-defined]


Popen: type[subprocess.Popen[str]] = _Forked if sys.platform == "linux" else subprocess.Popen


def run(arguments: Sequence[str], timeout: float, **options: Any) -> "subprocess.CompletedProcess[str]":
    """`subprocess.run` with `capture_output`."""
    pipe = subprocess.PIPE
    with Popen(arguments, stdout=pipe, stderr=pipe, text=True, **options) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        finally:
            process.kill()
    return subprocess.CompletedProcess(arguments, process.returncode, output, errors)


@cache
def _server() -> socket.socket:
    """The server of this process, which ends with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    @atexit.register
    def end() -> None:
        ours.close()
        process.wait()

    return ours


def _serve(requests: socket.socket) -> dict[str, Any]:
    """Fork a process for each order, and return the order in that process, which runs it and ends."""
    while True:
        message, files, _, _ = socket.recv_fds(requests, LONGEST_MESSAGE, 3)
        if not message:
            sys.exit()  # pytest has ended
        waits, go = os.pipe()
        between = os.fork()  # by whose end the child falls to the process of pytest
        if between == 0:
            if child := os.fork():
                requests.send(str(child).encode())
                os._exit(0)
            os.close(go)
            os.read(waits, 1)
            for number, file in enumerate(files):
                os.dup2(file, number)
            for file in (*files, waits, requests.detach()):
                os.close(file)
            return dict(json.loads(message))
        os.waitpid(between, 0)
        for file in (*files, waits, go):
            os.close(file)
        requests.send(b"yours")


def _perform(arguments: list[str], folder: str, environment: dict[str, str], session: bool) -> None:
    """Do what Python does with `SCRIPT ...` or `-c CODE ...`."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if session:
        os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.orig_argv = [sys.executable, *arguments]
    if arguments[0] == "-c":
        code, sys.argv, sys.path[0] = arguments[1], ["-c", *arguments[2:]], ""
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(code, "<string>", "exec"), main.__dict__)
    else:
        sys.argv, sys.path[0] = arguments, str(Path(arguments[0]).resolve().parent)
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for pytest, whose end ends this process
    sys.path[0] = str(ROOT)
    for name in HEAVY:
        importlib.import_module(name)
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a process of several threads cannot be forked"
    gc.freeze()
    _perform(**_serve(socket.socket(fileno=int(sys.argv[1]))))
