"""W&B beside the CSV files: offline runs, read back from what W&B wrote."""

import io
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb
from omegaconf import DictConfig, OmegaConf
from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]

from rwseg.cli import compose
from rwseg.config import Choices, check
from rwseg.errors import RunError
from rwseg.tracking import Identity, tracked

BLOCK = 32768


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """W&B as on a machine without account, settings and network."""
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_PROJECT", "WANDB_RUN_ID", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # the discard port: nobody answers
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in ("HOME", "WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / "netrc"))
    wandb.teardown()  # settings are read once per process
    yield
    wandb.teardown()


def asked(*overrides: str) -> tuple[DictConfig, Choices]:
    cfg, choices = compose("train", ["logger=wandb", *overrides])
    return check(cfg), choices


def identity(folder: Path, choices: Choices) -> Identity:
    folder.mkdir(exist_ok=True)
    return Identity(folder, choices)


def records(path: Path) -> list[Record]:
    """The records of a .wandb file: 7 bytes of header, then LevelDB's log format in blocks of 32 KiB."""
    content = path.read_bytes()
    assert content[:4] == b":W&B"
    place, parts, found = 7, [], []
    while place < len(content):
        if BLOCK - place % BLOCK < 7:  # no room for another header
            place += BLOCK - place % BLOCK
            continue
        _, size, kind = struct.unpack_from("<IHB", content, place)
        parts.append(content[place + 7 : place + 7 + size])
        place += 7 + size
        if kind in (1, 4):  # a whole record, or the last part of one
            found.append(Record.FromString(b"".join(parts)))
            parts = []
    return found


def offline_files(folder: Path) -> list[Path]:
    wandb.teardown()  # as at the end of a process: W&B writes in one of its own
    return sorted(folder.glob("wandb/offline-run-*/*.wandb"))


RUNS = {"rrw": 0, "rw_boundary": 3}


def test_runs_of_one_process_are_described_tracked_and_ended_each_for_itself(tmp_path: Path) -> None:
    for loss, seed in RUNS.items():
        cfg, choices = asked(f"loss={loss}", f"seed={seed}", "strategy=equal_dice")
        with tracked(cfg, identity(tmp_path / loss, choices)) as logger:
            assert logger is not None
            logger.log_metrics({"val/dice": 0.5}, step=0)
            logger.log_metrics({"val/dice": 0.75 + seed}, step=1)
        assert wandb.run is None
    ids = [(tmp_path / loss / "wandb_id.txt").read_text().strip() for loss in RUNS]
    assert ids[0] != ids[1]
    for (loss, seed), run_id in zip(RUNS.items(), ids, strict=True):
        (path,) = offline_files(tmp_path / loss)
        found = records(path)
        (run,) = (record.run for record in found if record.HasField("run"))
        assert run.run_id == run_id
        assert (run.project, run.run_group) == ("rwseg-phantom", f"phantom/{loss}/equal_dice")
        assert (run.display_name, run.job_type) == (f"{loss}-s{seed}", "train")
        assert set(run.tags) == {"phantom", loss, "equal_dice"}
        config = {item.key: json.loads(item.value_json) for item in run.config.update}
        expected, _ = asked(f"loss={loss}", f"seed={seed}", "strategy=equal_dice")
        assert {key: config[key] for key in expected} == OmegaConf.to_container(expected)
        history = [
            {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
            for record in found
            if record.HasField("history")
        ]
        assert [row["val/dice"] for row in history] == [0.5, 0.75 + seed]
        assert exit_codes(found) == [0]


def exit_codes(found: list[Record]) -> list[int]:
    return [record.exit.exit_code for record in found if record.HasField("exit")]


@pytest.mark.parametrize("error", [ValueError("no good"), KeyboardInterrupt()])
def test_a_failing_run_ends_with_status_1_and_goes_on_under_the_same_id(
    tmp_path: Path, error: BaseException
) -> None:
    cfg, choices = asked()
    folder = tmp_path / "run"
    with pytest.raises(type(error)), tracked(cfg, identity(folder, choices)):
        raise error
    assert wandb.run is None
    (first,) = offline_files(folder)
    assert exit_codes(records(first)) == [1]
    first_id = (folder / "wandb_id.txt").read_text()
    first.parent.rename(folder / "first")  # two starts within a second would share a folder
    with tracked(cfg, identity(folder, choices)):
        pass
    (second,) = offline_files(folder)
    found = records(second)
    assert [record.run.run_id for record in found if record.HasField("run")] == [first_id.strip()]
    assert exit_codes(found) == [0]


def test_without_an_account_it_is_said_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setattr("sys.stdin", io.StringIO())  # no terminal to ask at
    cfg, choices = asked()
    with (
        pytest.raises(RunError, match=r"logger=wandb: expected an account .*set WANDB_MODE=offline, or"),
        tracked(cfg, identity(tmp_path / "run", choices)),
    ):
        pytest.fail("a run without an account")
    assert wandb.run is None


def test_a_damaged_id_is_refused(tmp_path: Path) -> None:
    cfg, choices = asked()
    (tmp_path / "wandb_id.txt").write_text("../other")
    with (
        pytest.raises(RunError, match=r"wandb_id.txt: expected the id of a W&B run, found '../other'"),
        tracked(cfg, identity(tmp_path, choices)),
    ):
        pytest.fail("a run under a damaged id")


def test_csv_alone_needs_no_logger_and_no_files(tmp_path: Path) -> None:
    cfg, choices = compose("train", [])
    with tracked(check(cfg), Identity(tmp_path, choices)) as logger:
        assert logger is None
    assert {path.name for path in tmp_path.iterdir()} <= {"home"}
