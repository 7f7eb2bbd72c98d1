"""The flags of Hydra's command line, and the folders of a user's own options on it."""

from argparse import ArgumentParser
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from rwseg.core.errors import ConfigError
from rwseg.experiments.config.names import suggestion
from rwseg.experiments.config.overrides import override_of, quote, with_home

SEARCH_PATH = "hydra.searchpath"

search_path: ContextVar[tuple[str, ...]] = ContextVar("search_path", default=())
"""The override that names the folders of a user's own options, for whatever is composed beside Hydra."""

HELP = ["--help -h", "--hydra-help", "--version", "--shell-completion -sc"]
SWITCHES = [*HELP, "--multirun -m", "--run -r", "--resolve"]
WITH_VALUE = [
    "--cfg -c",
    "--package -p",
    "--config-name -cn",
    "--config-path -cp",
    "--experimental-rerun",
    "--config-dir -cd",
]


@dataclass(frozen=True)
class Flags:
    """What a command line asks Hydra for; `is_help`: for no run and no configuration."""

    overrides: list[str]
    multirun: bool
    cfg: str | None
    config_name: str | None
    config_dir: str | None
    is_help: bool


def flags(arguments: Sequence[str]) -> Flags:
    """Read Hydra's documented flags; overrides may stand before and after them.

    Raises `ConfigError` for others, and for `--config-path`: `--config-dir` adds to our options.
    """
    parser = ArgumentParser(add_help=False)
    parser.add_argument("overrides", nargs="*")
    for names in SWITCHES:
        parser.add_argument(*names.split(), action="store_true")
    for names in WITH_VALUE:
        parser.add_argument(*names.split())
    parser.add_argument("--info", "-i", nargs="?", const="all")
    asked, rest = parser.parse_known_args(arguments)
    known = " ".join([*SWITCHES, *WITH_VALUE, "--info"]).split()
    for word in rest:
        if word.startswith("-"):
            raise ConfigError(f"{word}: expected a flag of Hydra{suggestion(word, known)}; see --hydra-help")
    if asked.config_path:
        advice = "expected no other configuration; give --config-dir=DIR to add options of your own to ours"
        raise ConfigError(f"--config-path={asked.config_path}: {advice}")
    helps = (asked.help, asked.hydra_help, asked.version, asked.shell_completion, asked.info)
    return Flags(
        [*asked.overrides, *rest],
        asked.multirun,
        asked.cfg,
        asked.config_name,
        asked.config_dir,
        any(helps) or asked.experimental_rerun is not None,
    )


def with_search_path(arguments: Sequence[str]) -> list[str]:
    """`arguments` with `--config-dir DIR` also as `hydra.searchpath=[DIR]`, which jobs elsewhere are given.

    Raises `ConfigError` for a folder that does not exist; Hydra would go on without it.
    """
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd")
    words = [with_home(word) for word in arguments]
    asked, rest = parser.parse_known_args(words)
    given = search_path_in(rest)
    folders = [] if asked.config_dir is None else [_folder("--config-dir", asked.config_dir)]
    for word in given:
        value = override_of(word).value()
        folders += [_folder(SEARCH_PATH, str(one)) for one in (value if isinstance(value, list) else [value])]
    if not folders:
        return words
    own = f"{SEARCH_PATH}=[{','.join(map(quote, dict.fromkeys(folders)))}]"
    return [*(word for word in words if word not in given), own]


def search_path_in(overrides: Sequence[str]) -> tuple[str, ...]:
    """Those of `overrides` that name folders of options."""
    return tuple(text for text in overrides if text.startswith(f"{SEARCH_PATH}="))


def _folder(name: str, given: str) -> str:
    """The absolute path of a folder, or a place in a package as it is."""
    scheme, _, path = given.rpartition("://")
    if scheme not in ("", "file"):
        return given
    if not Path(path).is_dir():
        raise ConfigError(
            f"{name}={given}: expected a folder of your own options, such as loss/mine.yaml, found none; "
            "see https://hydra.cc/docs/advanced/search_path"
        )
    return f"file://{Path(path).absolute()}"
