"""What the backends of distances promise: bounded memory, and that nothing falls back."""

from collections.abc import Callable

import edt
import pytest
import torch
from label_maps import blobs
from live_bytes import LiveBytes
from torch import Tensor

from rwseg.maps.distance import choose_backend, inside_distance, outside_distances, signed_distances


def transforms(labels: Tensor, max_bytes: int | None) -> list[Callable[[], Tensor]]:
    return [
        lambda: inside_distance(labels, None, "torch", max_bytes),
        lambda: outside_distances(labels, 4, None, "torch", max_bytes),
    ]


@pytest.mark.parametrize("shape", [(9, 60, 44), (3, 5, 30, 26)], ids=["2d", "3d"])
def test_memory_stays_within_the_result_and_max_bytes(shape: tuple[int, ...]) -> None:
    labels = blobs(shape, size=9)
    pixels = labels[0].numel()
    for max_bytes in (80 * pixels, 200 * pixels, 1000 * pixels):
        for bounded, free in zip(transforms(labels, max_bytes), transforms(labels, None), strict=True):
            with LiveBytes() as memory:
                distances = bounded()
            assert torch.equal(distances, free())
            used = memory.peak - distances.nbytes
            assert used <= max_bytes
            assert used > max_bytes / 8  # the bound is made use of, so it was what bounded the memory


def test_memory_that_holds_no_item_is_refused() -> None:
    for transform in transforms(blobs((2, 60, 44)), max_bytes=80 * 60 * 44 - 1):
        with pytest.raises(
            ValueError, match=r"max_bytes: expected at least 211200, .* \(60, 44\).* got 211199"
        ):
            transform()


def test_torch_needs_nothing_of_edt(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = blobs((2, 7, 12))
    expected = signed_distances(labels, 4)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("edt was called")

    monkeypatch.setattr(edt, "edt", refuse)
    torch.testing.assert_close(signed_distances(labels, 4, None, "torch"), expected)
    with pytest.raises(AssertionError, match="edt was called"):
        signed_distances(labels, 4)


def test_backend_follows_the_device_and_never_changes_it() -> None:
    here, elsewhere = torch.zeros(1, 4, 4, dtype=torch.long), torch.zeros(1, 4, 4, device="meta").long()
    assert (choose_backend(here), choose_backend(here, "torch")) == ("edt", "torch")
    assert (choose_backend(elsewhere), choose_backend(elsewhere, "torch")) == ("torch", "torch")
    with pytest.raises(ValueError, match="expected labels on the CPU for 'edt', got meta"):
        choose_backend(elsewhere, "edt")
    with pytest.raises(ValueError, match="expected one of edt, torch or None, got 'cupy'"):
        inside_distance(here, None, "cupy")  # type: ignore[arg-type]
