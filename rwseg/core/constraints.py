"""What a setting may be, for `Annotated` fields of pydantic dataclasses; each says it in its own words."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import inf
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

Count = Annotated[int, Field(gt=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, le=1)]


def such_as(fits: Callable[[Any], bool], words: str) -> AfterValidator:
    """Only values that `fits` accepts; `words` follow "expected" where it does not."""

    def checked(value: Any) -> Any:
        if not fits(value):
            raise ValueError(f"expected {words}, got {'null' if value is None else value}")
        return value

    return AfterValidator(checked)


def or_else(default: Mapping[str, Any]) -> BeforeValidator:
    """`default` for an empty group of settings: what was there before they were settings."""
    return BeforeValidator(lambda given: given or dict(default))


def one_of(*choices: str | None) -> AfterValidator:
    """Only these values; the message names the nearest one."""
    names = ["null" if choice is None else choice for choice in choices]

    def checked(value: str | None) -> str | None:
        if value not in choices:
            near = get_close_matches(str(value), names, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise ValueError(f"expected one of {', '.join(names)}, got {value}{hint}")
        return value

    return AfterValidator(checked)


def is_own(settings: Any) -> bool:
    """Whether settings are those of a class or function of the user's, which they name by `_target_`."""
    return isinstance(settings, Mapping) and "_target_" in list(
        settings
    )  # in OmegaConf: also one without value


@dataclass(frozen=True)
class OrOwn:
    """Settings of the dataclass `ours`; or any settings for a class or function of the user's (`is_own`)."""

    ours: type

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        choices = {TAGS[0]: handler.generate_schema(self.ours), TAGS[1]: core_schema.dict_schema()}
        return core_schema.tagged_union_schema(choices, discriminator=lambda value: TAGS[is_own(value)])


TAGS = ("(ours)", "(own)")
"""What pydantic puts between the name of a group and that of a setting in its errors: `OrOwn`."""


def interval(low: float = 0, high: float = inf, *, above: bool = False, around: float | None = None) -> Any:
    """`[a, b]` with `low <= a <= b <= high`, or with `low < a` if `above`, or with `a <= around <= b`."""
    words = f"expected [low, high] with {low:g} {'<' if above else '<='} low <= high"
    words += "" if high == inf else f" <= {high:g}"
    words += "" if around is None else f", around {around:g}"

    def checked(value: Sequence[float]) -> Sequence[float]:
        a, b = value if len(value) == 2 else (inf, -inf)
        inside = low <= a <= b <= high and b < inf and not (above and a == low)
        if not inside or (around is not None and not a <= around <= b):
            raise ValueError(f"{words}, got {list(value)}")
        return value

    return BeforeValidator(checked)
