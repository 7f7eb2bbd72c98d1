"""The flags of Hydra's command line, and the folders of a user's own options on it."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path

from rwseg.core.errors import ConfigError
from rwseg.experiments.config.names import suggestion
from rwseg.experiments.config.overrides import override_of, quote, with_home

SEARCH_PATH = "hydra.searchpath"

search_path: ContextVar[tuple[str, ...]] = ContextVar("search_path", default=())
"""The override that names the folders of a user's own options, for whatever is composed beside Hydra."""

HELP = ["--help -h", "--hydra-help", "--version", "--shell-completion -sc"]
SWITCHES = [*HELP, "--multirun -m", "--run -r", "--resolve"]
VALUES = ["--cfg -c", "--package -p", "--config-name -cn", "--config-path -cp", "--config-dir -cd"]
VALUES += ["--experimental-rerun"]


def flags(arguments: Sequence[str]) -> Namespace:
    """Hydra's documented flags by their names, `overrides`, and `is_help`: neither a run nor a configuration.

    Raises `ConfigError` for other flags, and for `--config-path`: `--config-dir` adds to our options.
    """
    parser = ArgumentParser(add_help=False)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--info", "-i", nargs="?", const="all")
    for names in SWITCHES:
        parser.add_argument(*names.split(), action="store_true")
    for names in VALUES:
        parser.add_argument(*names.split())
    asked, rest = parser.parse_known_args(arguments)
    for word in rest:
        if word.startswith("-"):
            near = suggestion(word, ["--info", *" ".join([*SWITCHES, *VALUES]).split()])
            raise ConfigError(f"{word}: expected a flag of Hydra{near}; see --hydra-help")
    if asked.config_path:
        advice = "expected no other configuration; give --config-dir=DIR to add options of your own to ours"
        raise ConfigError(f"--config-path={asked.config_path}: {advice}")
    helps = (asked.help, asked.hydra_help, asked.version, asked.shell_completion)
    asked.is_help = any(helps) or asked.info is not None or asked.experimental_rerun is not None
    asked.overrides += rest
    return asked


def with_search_path(arguments: Sequence[str]) -> list[str]:
    """`arguments` with `--config-dir DIR` also as `hydra.searchpath=[DIR]`, which jobs elsewhere are given.

    Raises `ConfigError` for a folder that does not exist; Hydra would go on without it.
    """
    words = [with_home(word) for word in arguments]
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config-dir", "-cd")
    own = parser.parse_known_args(words)[0].config_dir
    folders = [] if own is None else [_folder("--config-dir", own)]
    given = search_path_in(words)
    for word in given:
        value = override_of(word).value()
        folders += [_folder(SEARCH_PATH, str(one)) for one in (value if isinstance(value, list) else [value])]
    if not folders:
        return words
    paths = ",".join(map(quote, dict.fromkeys(folders)))
    return [*(word for word in words if word not in given), f"{SEARCH_PATH}=[{paths}]"]


def overrides_last(arguments: Sequence[str]) -> list[str]:
    """`arguments` with the flags in front: Hydra takes overrides on one side of them alone.

    Raises `ConfigError` as `flags`.
    """
    asked = flags(arguments)
    left, front = list(asked.overrides), []
    for word in arguments:
        if word in left:
            left.remove(word)
        else:
            front.append(word)
    if asked.info == "all":  # alone, it would take an override for its value
        front = ["--info=all" if word in ("--info", "-i") else word for word in front]
    return [*front, *asked.overrides]


def search_path_in(overrides: Sequence[str]) -> tuple[str, ...]:
    """Those of `overrides` that name folders of options."""
    return tuple(text for text in overrides if text.startswith(f"{SEARCH_PATH}="))


def _folder(name: str, given: str) -> str:
    """The absolute path of a folder, or a place in a package as it is."""
    scheme, _, path = given.rpartition("://")
    if scheme not in ("", "file"):
        return given
    if not Path(path).is_dir():
        expected = "expected a folder of your own options, such as loss/mine.yaml, found none"
        raise ConfigError(f"{name}={given}: {expected}; see https://hydra.cc/docs/advanced/search_path")
    return f"file://{Path(path).absolute()}"
