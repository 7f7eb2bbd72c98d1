"""Compositions: a base map and what modifies it, read from a list and checked before anything is computed.

    [boundary]
    [boundary, rectify, {normalise: per_class}]
    [{edge_emphasis: {width: 3}}, {mix: {map: [rrw], weight: 0.5}}, {class_weights: [1, 2, 2, 4]}]

The first part is one of `BASES`, the others are of `MODIFIERS`, applied in this order. A part is its name, or
`{name: {argument: value}}`; where it takes one argument, `{name: value}` will do.

Every base weighs the true class 0 or less and the others 0 or more, and no modifier changes a sign, so by
section 3.3 of Valverde and Tohka (2023) a composition is rectified exactly when the wrong classes of a pixel
weigh the same: `Composition.is_rectified`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rwseg.maps import modifiers
from rwseg.maps.bases import BASES, EXPONENT, MAP_NAMES, POSITIVE, Argument, Base, is_number, is_positive
from rwseg.maps.region_wise import RegionMap

DISTANCES = ("boundary", "boundary_kervadec")
"""The bases whose entries are distances: what `anneal` needs."""

OF_VOLUMES = ("boundary", "rrw")
"""The bases that a data module makes of whole volumes: they are 0 in a pixel only where nothing is known."""


class Modifier(NamedTuple):
    """`change(region_map, labels, num_classes, **arguments)`; `rectifies` tells that by the arguments."""

    change: Callable[..., RegionMap]
    arguments: Mapping[str, Argument] = {}
    rectifies: Callable[[Mapping[str, Any]], bool] = lambda arguments: False


def _is_share(value: Any) -> bool:
    return is_number(value) and 0 <= value <= 1


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _are_weights(value: Any) -> bool:
    return _is_list(value) and len(value) > 1 and all(map(is_positive, value))


PER = ("per_class", "per_item", "none")

MODIFIERS: Mapping[str, Modifier] = {
    "rectify": Modifier(modifiers.rectified, rectifies=lambda arguments: True),
    "normalise": Modifier(
        modifiers.normalise, {"per": Argument(lambda value: value in PER, f"one of {', '.join(PER)}")}
    ),
    "class_weights": Modifier(
        modifiers.class_weights,
        {"weights": Argument(_are_weights, "a list of numbers above 0, one per class with the background")},
    ),
    "clip": Modifier(modifiers.clip, {"largest": POSITIVE}),
    "power": Modifier(modifiers.power, {"exponent": EXPONENT}),
    "anneal": Modifier(
        modifiers.anneal,
        {"t": Argument(_is_share, "a number from 0 (the boundary map) to 1 (the RRW map)")},
        rectifies=lambda arguments: arguments["t"] == 1,
    ),
    "mix": Modifier(
        modifiers.mixed,
        {
            "map": Argument(
                lambda value: _is_list(value) or isinstance(value, Composition), "a list as this one"
            ),
            "weight": Argument(
                lambda value: is_number(value) and 0 < value < 1, "a number between 0 and 1, its share"
            ),
        },
    ),
}


class Part(NamedTuple):
    """A base or a modifier with its arguments; that of `mix` called `map` is a `Composition`."""

    name: str
    arguments: Mapping[str, Any] = {}

    @property
    def plain(self) -> Any:
        """As a list of a configuration holds it."""
        if not self.arguments:
            return self.name
        return {
            self.name: {
                key: value.plain if isinstance(value, Composition) else value
                for key, value in self.arguments.items()
            }
        }


@dataclass(frozen=True)
class Composition:
    """A checked composition; `of` and `of_text` make one.

    `text` is the list that makes it, as JSON. `is_rectified` says that the K - 1 wrong classes of every pixel
    weigh the same; then the map is made in compact form. `lifts_zero` says that a pixel of which the base
    map knows nothing would have weights after the modifiers. They are there once and for all, because
    `torch.compile` cannot look into what finds them.
    """

    base: Part
    modifiers: tuple[Part, ...]
    text: str
    is_rectified: bool
    lifts_zero: bool

    @classmethod
    def of(cls, parts: Sequence[Any]) -> "Composition":
        """Return the composition of a list; `ValueError` saying what a part should be, and what there is."""
        if not _is_list(parts) or not parts:
            raise ValueError(f"expected a list such as [boundary, rectify], got {parts!r}")
        base, *others = (_part(given, first=number == 0) for number, given in enumerate(parts))
        before = [base.name]
        for part in others:
            if part.name == "anneal" and (base.name not in DISTANCES or set(before[1:]) - {"rectify"}):
                raise ValueError(
                    f"anneal: expected after {' or '.join(DISTANCES)}, with nothing but rectify between, "
                    f"because it needs distances, got it after {', '.join(before)}"
                )
            before.append(part.name)
        text = json.dumps([part.plain for part in (base, *others)], separators=(",", ":"), sort_keys=True)
        lifts = any(name == "mix" or arguments.get("t") == 1 for name, arguments in others)
        lifts = lifts and base.name in OF_VOLUMES
        return cls(base, tuple(others), text, _is_rectified(base, others), lifts)

    @classmethod
    def of_text(cls, text: str) -> "Composition":
        """The composition whose `text` this is."""
        return cls.of(json.loads(text))

    @property
    def plain(self) -> list[Any]:
        """The list that makes it."""
        return [part.plain for part in (self.base, *self.modifiers)]

    def check_classes(self, num_classes: int) -> None:
        """Raise `ValueError` for class weights of another number of classes, also in what is mixed in."""
        for name, arguments in self.modifiers:
            if name == "mix":
                arguments["map"].check_classes(num_classes)
            elif name == "class_weights":
                modifiers.check_class_weights(arguments["weights"], num_classes)

    @property
    def base_name(self) -> str | None:
        """The map that may be computed once for this one: a base without arguments, or None."""
        return self.base.name if self.base.name in MAP_NAMES and not self.base.arguments else None

    @property
    def base_is_compact(self) -> bool:
        """Whether the compact form of the base is all that is needed of it."""
        rectified_at_once = bool(self.modifiers) and self.modifiers[0].name == "rectify"
        return rectified_at_once or BASES[self.base.name].is_rectified


def _is_rectified(base: Part, others: Sequence[Part]) -> bool:
    answer = BASES[base.name].is_rectified
    for part in others:
        if part.name == "mix":
            answer = answer and part.arguments["map"].is_rectified
        else:
            answer = answer or MODIFIERS[part.name].rectifies(part.arguments)
    return answer


def _part(given: Any, first: bool) -> Part:
    """A part as it stands in a list; `first` is the base."""
    known: Mapping[str, Base | Modifier] = BASES if first else MODIFIERS
    kind = "a base map first" if first else "modifiers after the base map"
    name, value = given, None
    if isinstance(given, Mapping) and len(given) == 1:
        ((name, value),) = given.items()
    if not isinstance(name, str) or name not in known:
        near = (
            "; two maps are one by {mix: {map: [...], weight: ...}}"
            if not first and given in list(BASES)
            else ""
        )
        raise ValueError(f"expected {kind}, one of {', '.join(known)}, got {given!r}{near}")
    return Part(name, _arguments(name, known[name].arguments, value))


def _arguments(name: str, known: Mapping[str, Argument], value: Any) -> dict[str, Any]:
    """The arguments of a part, checked; `value` is what its name stands before, or None."""
    given = value if isinstance(value, Mapping) else {} if value is None else {next(iter(known), ""): value}
    listed = ", ".join(f"{key}: {one.expected}" for key, one in known.items()) or "no argument"
    missing = [key for key, one in known.items() if one.needed and key not in given]
    is_short = value is not None and not isinstance(value, Mapping)
    if set(given) - set(known) or missing or (is_short and len(known) != 1):
        got = "none" if value is None else value
        raise ValueError(f"{name}: expected {{{name}: ...}} with {listed}, got {got}")
    for key, one in known.items():
        if key in given and not one.fits(given[key]):
            raise ValueError(f"{name}, {key}: expected {one.expected}, got {given[key]!r}")
    if name == "mix":
        inner = given["map"]
        return {**given, "map": inner if isinstance(inner, Composition) else Composition.of(inner)}
    return {key: list(item) if _is_list(item) else item for key, item in given.items()}
