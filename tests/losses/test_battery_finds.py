"""The battery finds what is wrong with losses that people write, and leaves those that are right alone."""

from collections.abc import Callable
from typing import Any

import own_losses as own
import pytest
import torch
from torch import Tensor, nn

from rwseg.losses import as_segmentation_loss
from rwseg.losses.battery import CALLED, ROWS, check_loss, check_row

QUICK = [row for row in ROWS if row != "torch.compile"]


def verdicts(loss: Callable[..., Any], classes: int = 4) -> dict[str, str]:
    """The rows that a loss does not pass."""
    found = [check_row(row, as_segmentation_loss(loss), classes) for row in QUICK]
    assert all(bool(finding.advice) == (finding.verdict != "pass") for finding in found)
    return {finding.row: finding.verdict for finding in found if finding.verdict != "pass"}


@pytest.mark.parametrize("classes", [2, 3, 4, 7])
@pytest.mark.parametrize("loss", [own.DiceAndCrossEntropy(2.0), own.focal, nn.CrossEntropyLoss()])
def test_losses_that_are_right_pass(loss: Callable[..., Any], classes: int) -> None:
    assert verdicts(loss, classes) == {}


def test_smoothed_labels_give_certainty_a_price() -> None:
    found = verdicts(nn.CrossEntropyLoss(label_smoothing=0.1))
    assert found.pop("minimum") == "note"
    assert set(found) <= {"half precision"}


@pytest.mark.parametrize(
    ("loss", "row", "verdict", "words"),
    [
        (
            own.SoftmaxTwice(),
            "softmax",
            "fails",
            "of what are probabilities already: none exceeds 0.48",
        ),
        (own.SoftmaxTwiceByHand(), "softmax", "fails", "exp of what are probabilities already"),
        (own.SoftmaxOverRows(), "softmax", "fails", "softmax over an axis of length 14, of 4 classes"),
        (
            own.OnlyPresent(),
            "absent class",
            "fails",
            "no gradient where a class is predicted that",
        ),
        (own.OnlyPresent(), "gradient", "fails", "zero for a random prediction in an image of class 0 alone"),
        (own.BatchDice(), "batch", "fails", "for the mean of its items"),
        (own.LogOfSoftmax(), "finite", "fails", "nan for a random prediction, very sure"),
        (own.WrongSign(), "minimum", "fails", "for a right one"),
        (own.WrongSign(), "direction", "fails", "pushed away from the true class"),
        (own.InPlace(), "inputs", "fails", "labels changed in place"),
        (own.Random(), "repeatable", "note", "for the same input"),
        (own.Detached(), "differences", "note", "differs from finite differences"),
    ],
)
def test_a_fault_is_found_by_its_row(loss: nn.Module, row: str, verdict: str, words: str) -> None:
    finding = check_row(row, as_segmentation_loss(loss))
    assert (finding.verdict, words in finding.found) == (verdict, True), finding


def test_a_fault_fails_its_own_row_and_no_other() -> None:
    assert verdicts(own.SoftmaxTwice()) == {"softmax": "fails"}
    assert {row for row, verdict in verdicts(own.BatchDice()).items() if verdict == "fails"} == {"batch"}


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (own.NotScalar(), "NotScalar: expected a scalar tensor, such as values.mean(), got shape (3, 9, 14)"),
        (lambda logits, labels: 1.0, "expected a scalar tensor, such as values.mean(), got 1.0"),
        (
            lambda logits, labels: logits.argmax(1).float().mean(),
            "expected a value with a gradient at the logits",
        ),
        (lambda logits: logits.mean(), "takes 1 positional argument but 2 were given"),
        (lambda logits, labels: (logits * labels).mean(), "must match the size"),
    ],
)
def test_what_cannot_be_called_says_why_and_no_more(loss: Callable[..., Any], words: str) -> None:
    (finding,) = check_loss(loss)
    assert (finding.row, finding.verdict) == (CALLED, "fails")
    assert words in finding.found


def test_a_loss_that_needs_a_map_gets_it() -> None:
    found = verdicts(own.MapWanted())
    assert "softmax" not in found
    assert "batch" not in found


def test_precision_and_volumes_are_noted() -> None:
    def in_2d(logits: Tensor, labels: Tensor) -> Tensor:
        assert logits.dtype == torch.float32
        assert logits.ndim == 4
        return nn.functional.cross_entropy(logits, labels)

    assert verdicts(in_2d) == {"volumes": "note", "half precision": "note", "differences": "fails"}


def test_compilation_is_told() -> None:
    def breaks(logits: Tensor, labels: Tensor) -> Tensor:
        return own.focal(logits, labels) * (2.0 if float(logits.detach().sum()) > 0 else 3.0)

    assert check_row("torch.compile", as_segmentation_loss(own.focal)).verdict == "pass"
    finding = check_row("torch.compile", as_segmentation_loss(breaks))
    assert finding.verdict == "note"
    assert "graph break" in finding.found
