"""Names of settings: all that a configuration has, and the one that was meant."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from typing import Any

from omegaconf import DictConfig, OmegaConf


def keys_of(cfg: DictConfig) -> list[str]:
    """Every key of `cfg`, dotted, branches included."""
    return list(_keys(OmegaConf.to_container(cfg), ""))


def keys_of_schema(schema: Any, prefix: str = "") -> Iterator[str]:
    """Every key that the dataclass `schema` knows, dotted, branches included."""
    for item in fields(schema):
        yield f"{prefix}{item.name}"
        if isinstance(item.type, type) and is_dataclass(item.type):
            yield from keys_of_schema(item.type, f"{prefix}{item.name}.")


def suggestion(name: str, candidates: list[str]) -> str:
    """`; did you mean 'loss'?` with the nearest candidate, or an empty text.

    Nearest among those with the same parent; else, for a wrong parent, among all; else the one that ends
    alike, for a key without its group or in the wrong one (`epochs`, `loss.epochs`).
    """
    parent, last = _split(name)
    siblings = {_split(candidate)[1]: candidate for candidate in candidates if _split(candidate)[0] == parent}
    tails = {_split(candidate)[1]: candidate for candidate in reversed(candidates)}
    nearest = [siblings[tail] for tail in get_close_matches(last, siblings, n=1)]
    if parent not in ("", *candidates):
        nearest = nearest or get_close_matches(name, candidates, n=1)
    nearest = nearest or [tails[tail] for tail in get_close_matches(last, tails, n=1, cutoff=0.7)]
    return f"; did you mean '{nearest[0]}'?" if nearest else ""


def _split(key: str) -> tuple[str, str]:
    parent, _, last = key.rpartition(".")
    return parent, last


def _keys(content: Any, prefix: str) -> Iterator[str]:
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield f"{prefix}{key}"
            yield from _keys(value, f"{prefix}{key}.")
