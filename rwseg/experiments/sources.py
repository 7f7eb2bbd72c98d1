"""The code behind a run that is not rwseg's: a hash of every module of the user's own that it names (C5).

A configuration names classes by `_target_`, and a data set by `dataset.adapter`. Of each the module is
hashed, and all modules that it imports, in functions too: those that lie in no installed package and, of an
installed package that is named, its own. What is imported under a name that is put together at run time is
not seen, nor are files that the code reads. A hash is of a file's content, comments included, not of its
date; a process reads each file once, as Python does.
"""

import ast
import hashlib
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

from rwseg.core.own_code import is_installed
from rwseg.experiments.config.targets import targets_of

Sources = dict[str, dict[str, str]]
"""Modules and their hashes for each setting that names code of the user's: {"loss": {"mine": "5f..."}}."""

LIBRARIES = (
    "rwseg", "hydra_plugins", "hydra", "omegaconf", "torch", "torchmetrics", "pytorch_lightning", "lightning",
    "lightning_fabric", "monai", "numpy", "scipy", "pandas", "wandb", "mlflow", "tensorboard",
)  # fmt: skip
"""What rwseg is made with; run.json has their versions."""

ADAPTER = "dataset.adapter"


def own_sources(content: Mapping[str, Any]) -> Sources:
    """The modules of the user's own that a configuration names; it is given in dicts and lists."""
    paths = {target.key: target.path for target in targets_of(content)}
    adapter = (content.get("dataset") or {}).get("adapter")
    if isinstance(adapter, str):
        paths[ADAPTER] = adapter
    found = {key: modules_of(path) for key, path in paths.items()}
    return {key: modules for key, modules in sorted(found.items()) if modules}


def modules_of(path: str) -> dict[str, str]:
    """The hash of each own module behind a dotted path, by the modules' names."""
    top = path.partition(".")[0]
    if top in LIBRARIES or top in sys.stdlib_module_names:
        return {}
    seen: dict[str, str] = {}
    waiting = list(_prefixes(path))
    while waiting:
        name = waiting.pop()
        file = None if name in seen else _own_file(name, top)
        if file is not None:
            seen[name] = _digest(file)
            waiting += _imports(name, file)
    return dict(sorted(seen.items()))


def digest_of(modules: Mapping[str, str]) -> str:
    """One hash of the modules behind a setting."""
    text = " ".join(f"{name}={digest}" for name, digest in sorted(modules.items()))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def changes(saved: Sources, now: Sources) -> Iterator[str]:
    """What differs between the code behind the settings that both have, a line each."""
    for key in sorted(saved.keys() & now.keys()):
        before, after = saved[key], now[key]
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                yield (
                    f"{key}: module {name}: saved {before.get(name, 'without it')}, "
                    f"now {after.get(name, 'without it')}"
                )


def _prefixes(path: str) -> Iterator[str]:
    """`a`, `a.b` and `a.b.c` of `a.b.c`."""
    parts = path.split(".")
    return (".".join(parts[: count + 1]) for count in range(len(parts)))


def _own_file(name: str, named: str) -> str | None:
    """The file of a module if that is the user's own, or of the installed package `named`."""
    spec = _spec(name)
    file = None if spec is None or not spec.has_location else spec.origin
    top = name.partition(".")[0]
    if file is None or top in LIBRARIES or top in sys.stdlib_module_names:
        return None
    return file if top == named or not is_installed(file) else None


@cache
def _spec(name: str) -> ModuleSpec | None:
    """Where a module lies, found without importing anything."""
    parent, _, _ = name.rpartition(".")
    try:
        if not parent:
            return find_spec(name)
        above = _spec(parent)
        places = None if above is None else above.submodule_search_locations
        return None if places is None else PathFinder.find_spec(name, list(places))
    except (ImportError, ValueError):
        return None


@cache
def _digest(file: str) -> str:
    content = Path(file).read_bytes().replace(b"\r\n", b"\n")
    return hashlib.blake2b(content, digest_size=8).hexdigest()


@cache
def _imports(name: str, file: str) -> tuple[str, ...]:
    """The names that a module's code may import: `from a import b` may mean a module `a.b`."""
    if not file.endswith(".py"):
        return ()
    try:
        tree = ast.parse(Path(file).read_bytes())
    except SyntaxError:
        return ()  # importing it says so
    package = name if Path(file).name == "__init__.py" else name.rpartition(".")[0]
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            found += _from(node, package)
    return tuple(dict.fromkeys(one for path in found for one in _prefixes(path)))


def _from(node: ast.ImportFrom, package: str) -> Iterator[str]:
    try:
        base = (
            resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module or ""
        )
    except ImportError:
        return
    yield base
    yield from (f"{base}.{one.name}" for one in node.names if one.name != "*")
