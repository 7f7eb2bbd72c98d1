"""Any callable `(logits, labels) -> scalar` as a loss: how it is called, and where it can stand."""

from functools import partial

import own_losses as own
import pytest
import torch
from monai import losses as monai_losses
from torch import Tensor, nn

from rwseg.losses import (
    CombinedLoss,
    DiceLoss,
    ForeignLoss,
    RegionWiseLoss,
    RRWLoss,
    as_segmentation_loss,
    head_weights,
    loss_at_perfect,
    supervised_loss,
)
from rwseg.maps import RectifiedMap, boundary_map, rectified_rrw_map
from rwseg.training.diagnostics.stability import gradient_wrong_signs, loss_terms


def make() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    labels = torch.randint(0, 3, (2, 8, 12), generator=generator)
    return torch.randn(2, 4, 8, 12, generator=generator), labels


def test_ours_stay_as_they_are_and_others_are_wrapped_once() -> None:
    ours = RRWLoss()
    assert as_segmentation_loss(ours) is ours
    wrapped = as_segmentation_loss(nn.CrossEntropyLoss())
    assert isinstance(wrapped, ForeignLoss)
    assert as_segmentation_loss(wrapped) is wrapped
    assert (wrapped.name, as_segmentation_loss(partial(own.focal, gamma=1.0)).name) == (  # type: ignore[attr-defined]
        "CrossEntropyLoss",
        "focal",
    )


@pytest.mark.parametrize("kind", [torch.uint8, torch.int32, torch.float32])
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_it_is_called_in_float32_without_autocast_with_int64_labels(
    half: torch.dtype, kind: torch.dtype
) -> None:
    seen = []

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        product = logits.flatten(2) @ logits.flatten(2).mT  # what autocast computes in half precision
        seen.append((logits.dtype, labels.dtype, labels.shape, product.dtype))
        return logits.mean()

    logits, labels = make()
    with torch.autocast("cpu", torch.bfloat16):
        ForeignLoss(loss)(logits.to(half), labels[:, None].to(kind))
    assert seen == [(torch.float32, torch.int64, labels.shape, torch.float32)]


def test_losses_of_monai_get_labels_with_the_channel_that_they_want() -> None:
    logits, labels = make()
    plain = monai_losses.DiceCELoss(softmax=True, to_onehot_y=True)
    assert torch.equal(as_segmentation_loss(plain)(logits, labels), plain(logits, labels[:, None]))


def test_value_and_gradient_are_its_own() -> None:
    logits, labels = make()
    logits.requires_grad_()
    plain = nn.CrossEntropyLoss(label_smoothing=0.1)
    ours, theirs = as_segmentation_loss(plain)(logits, labels), plain(logits, labels)
    assert torch.equal(ours, theirs)
    assert torch.equal(*(torch.autograd.grad(value, logits)[0] for value in (ours, theirs)))


def test_a_map_is_given_to_one_that_wants_it_and_made_where_there_is_none() -> None:
    logits, labels = make()
    dense = boundary_map(labels, 4)
    wrapped, ours = as_segmentation_loss(own.MapWanted()), RegionWiseLoss("boundary")
    assert (wrapped.map_name, wrapped.rectified) == ("boundary", False)
    torch.testing.assert_close(wrapped(logits, labels, 2 * dense), ours(logits, labels, 2 * dense))
    torch.testing.assert_close(wrapped(logits, labels), ours(logits, labels))


def test_a_map_is_rectified_for_one_that_says_so() -> None:
    class Rectified:
        map_name, rectified = "rrw", True

        def __call__(self, logits: Tensor, labels: Tensor, region_map: RectifiedMap) -> Tensor:
            p = torch.softmax(logits, 1).gather(1, labels[:, None])[:, 0]
            return (region_map.outside + p * (region_map.inside - region_map.outside)).mean() / logits.shape[
                1
            ]

    logits, labels = make()
    given = rectified_rrw_map(labels, 4)
    for arguments in ((logits, labels), (logits, labels, given)):
        torch.testing.assert_close(as_segmentation_loss(Rectified())(*arguments), RRWLoss()(*arguments))


def test_an_error_of_its_own_says_what_it_was_called_with() -> None:
    logits, labels = make()
    with pytest.raises(ZeroDivisionError) as caught:
        ForeignLoss(lambda logits, labels: 1 / 0)(logits, labels)
    assert caught.value.__notes__ == [
        "<lambda> was called with logits (2, 4, 8, 12) of torch.float32 and labels (2, 8, 12) of torch.int64"
    ]


@pytest.mark.parametrize("wanted", ["bondary", "boundary_2"])
def test_a_map_that_there_is_not_is_refused(wanted: str) -> None:
    class Wants(own.MapWanted):
        map_name = wanted

    with pytest.raises(ValueError, match=f"region map: expected one of .* got '{wanted}'"):
        as_segmentation_loss(Wants())


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(ValueError, match="loss: expected a callable"):
        as_segmentation_loss(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["equal", "gradual"])
@pytest.mark.parametrize("ours_first", [True, False])
def test_strategies_with_a_partner(mode: str, ours_first: bool) -> None:
    logits, labels = make()
    pair = (DiceLoss(), nn.CrossEntropyLoss()) if ours_first else (nn.CrossEntropyLoss(), DiceLoss())
    combined = CombinedLoss(pair[0], pair[1], mode)  # type: ignore[arg-type]
    combined.set_epoch(30)
    main, partner = (float(loss(logits, labels)) for loss in pair)
    expected = partner + main if mode == "equal" else 0.7 * partner + 0.3 * main
    assert float(combined(logits, labels)) == pytest.approx(expected, rel=1e-5)
    assert set(loss_terms(combined, logits, labels)) == {"main", "partner"}


def test_deep_supervision_with_a_plain_loss_and_labels_as_monai_has_them() -> None:
    logits, labels = make()
    outputs = [logits, logits[..., ::2, ::2], logits[..., ::4, ::4]]
    plain = nn.CrossEntropyLoss()
    weights = head_weights(3)
    expected = sum(
        weight * plain(x, labels[:, step // 2 :: step, step // 2 :: step])
        for x, weight, step in zip(outputs, weights, (1, 2, 4), strict=True)
    )
    for given in (labels, labels[:, None].float()):
        torch.testing.assert_close(supervised_loss(plain, outputs, given, weights=weights), expected)


def test_an_ignored_pixel_has_no_gradient() -> None:
    logits, labels = make()
    logits.requires_grad_()
    labels[0, :3] = 255
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    value = supervised_loss(loss, [logits], labels, weights=[1.0], ignore=255)
    (slope,) = torch.autograd.grad(value, logits)
    assert not slope[0, :, :3].any()
    assert slope[0, :, 3:].any()


def test_the_gap_is_not_negative_where_certainty_has_a_price() -> None:
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    _, labels = make()
    best = loss_at_perfect(loss, labels, 4)
    for certainty in (0.0, 1.0, 3.6, 10.0, 120.0):
        logits = certainty * nn.functional.one_hot(labels, 4).movedim(-1, 1).float()
        assert loss(logits, labels) >= best - 0.01
    assert loss_at_perfect(nn.CrossEntropyLoss(), labels, 4) < 1e-6


def test_weights_of_its_own_are_part_of_the_module() -> None:
    loss = CombinedLoss(nn.CrossEntropyLoss(weight=torch.ones(4)))
    assert [name for name, _ in loss.named_buffers()] == ["main.loss.weight"]


def test_the_stability_meter_measures_it() -> None:
    logits, labels = make()
    shares = gradient_wrong_signs(as_segmentation_loss(nn.CrossEntropyLoss()), logits, labels)
    assert not shares[:3].any()
    assert shares[3].isnan()
