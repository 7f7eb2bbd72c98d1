"""Trackers as on a machine without accounts, servers and settings, and runs that fail once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import wandb

from rwseg.models.unet import UNet


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """W&B without account, settings and network."""
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


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow without settings; what MLflow and we set is undone."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


@pytest.fixture
def fails_once(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """A network whose forward fails in the n-th training step of the process, once."""
    plain = UNet.forward

    def arrange(step: int) -> None:
        calls = {"left": step}

        def forward(self: UNet, image: torch.Tensor) -> list[torch.Tensor]:
            calls["left"] -= self.training
            if self.training and calls["left"] == 0:
                raise RuntimeError("out of memory")
            return plain(self, image)

        monkeypatch.setattr(UNet, "forward", forward)

    return arrange
