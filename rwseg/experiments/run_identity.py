"""What a run is called in a tracker, so that the seeds of one configuration are found together."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rwseg.core.errors import RunError
from rwseg.experiments.config.schema import Choices, TrainConfig
from rwseg.experiments.config.validation import plain

GROUP = ("dataset", "model", "loss", "strategy")
LONGEST_TAG = 64  # W&B refuses longer ones


@dataclass(frozen=True)
class Identity:
    """Where a run lies, which options it is made of, and its seed."""

    folder: Path
    choices: Choices
    seed: int

    @property
    def group(self) -> str:
        """`<dataset>/<model>/<loss>/<strategy>`."""
        return "/".join(self.choices[name] for name in GROUP)

    @property
    def variant(self) -> str:
        """The experiment, and after a slash the folder of other settings if there is one."""
        experiment = self.choices.get("experiment", "None")
        name = "default" if experiment == "None" else experiment
        has_settings = self.folder.parent.parent.name == self.choices["strategy"]
        return f"{name}/{self.folder.parent.name}" if has_settings else name

    @property
    def method(self) -> str:
        """The group, in brackets the variant if it is no default: its runs differ in the seed only."""
        return self.group if self.variant == "default" else f"{self.group} ({self.variant})"

    @property
    def name(self) -> str:
        """`<loss>[-<strategy>]-s<seed>`."""
        strategy = self.choices["strategy"]
        method = self.choices["loss"] if strategy == "alone" else f"{self.choices['loss']}-{strategy}"
        return f"{method}-s{self.seed}"

    @property
    def tags(self) -> list[str]:
        """The options of the group and the experiment, each once."""
        experiment = self.variant.partition("/")[0]
        names = [*(self.choices[name] for name in GROUP), experiment]
        return [name[:LONGEST_TAG] for name in dict.fromkeys(names)]

    def settings(self, cfg: TrainConfig) -> dict[str, object]:
        """The resolved configuration, its options, the method, and where the run's record lies."""
        own = {"choices": dict(self.choices), "method": self.method, "run_json": str(self.run_json)}
        return {**plain(cfg), **own}

    @property
    def run_json(self) -> Path:
        """The run's own record, with its absolute path."""
        return (self.folder / "run.json").absolute()


def kept_id(path: Path, tracker: str) -> str | None:
    """The id under which a run began in a tracker, None at its first start; `RunError` if it is damaged."""
    if not path.is_file():
        return None
    found = path.read_text(encoding="utf-8").strip()
    if not re.fullmatch(r"[A-Za-z0-9_-]+", found):
        raise RunError(f"{path}: expected the id of a {tracker} run, found {found!r}; delete the file")
    return found


def require(package: str, use: str, install: str) -> None:
    """Raise `RunError` saying what to install if `package`, which `use` needs, is missing."""
    if find_spec(package) is None:
        raise RunError(f"{use}: expected the package '{package}', found none; pip install '{install}'")
