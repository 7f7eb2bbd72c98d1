"""What a row of the battery says of a loss."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["pass", "note", "fails"]


@dataclass(frozen=True)
class Finding:
    """A row's verdict, what was found, and, unless it passes, what that means for a training and what to do.

    `note` is what a user should know and may well want; `fails` is what spoils a training.
    """

    row: str
    verdict: Verdict
    found: str
    advice: str = ""
