"""A command whose reader is gone ends in silence, as programs do that SIGPIPE ends."""

import os
import sys
from pathlib import Path
from signal import SIGPIPE

import pytest
from preloaded import Popen

from rwseg.core.unread import UNREAD, until_unread

ROOT = Path(__file__).parents[2]
COMMAND = "import runpy, sys; sys.argv[0] = 'rwseg'; runpy.run_module('rwseg.commands', run_name='__main__')"


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["-c", COMMAND, "train", "--help"], marks=pytest.mark.slow),
        ["-c", COMMAND, "--help"],
        pytest.param([str(ROOT / "train.py"), "--cfg", "job"], marks=pytest.mark.slow),
    ],
    ids=["hydra's help", "our help", "a configuration"],
)
def test_a_command_that_nobody_reads_ends_in_silence(words: list[str], tmp_path: Path) -> None:
    unread, output = os.pipe()
    os.close(unread)
    with (tmp_path / "errors").open("w+") as errors:
        command = Popen([sys.executable, *words], stdout=output, stderr=errors, cwd=tmp_path)
        os.close(output)
        assert command.wait(60) in (UNREAD, -SIGPIPE)
        errors.seek(0)
        assert errors.read() == ""


def test_another_pipe_that_breaks_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BrokenPipeError, match="a helping process"), until_unread():
        raise BrokenPipeError("a helping process")
