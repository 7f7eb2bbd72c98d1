"""Exact squared Euclidean distances of label maps in PyTorch, on whatever device the labels are.

The transform is separable. A scan along the longest axis counts the steps to the nearest seed; then, along
each further axis, every pixel i of a line takes `min_j previous_j + (spacing (i - j)) ** 2`. This minimum is
found by brute force, in few large kernels over all items, classes and lines at once: a GPU does that faster
than it follows the branches of a lower envelope. Pixels j that no seed reaches are left out.

Memory: the result and at most `max_bytes` beside it (None: `CPU_BYTES` or `DEVICE_BYTES`, or what one item
needs). Half of it holds the scans, `SCAN_BYTES` per pixel of the items taken at a time; half the tables of
sums, `4 n ** 2` bytes per line of n pixels. Arithmetic is float32 on steps that were squared in float64 and
rounded once; with unit spacing everything below 2 ** 24 is exact.
"""

import torch
from torch import Tensor

CPU_BYTES = 16 * 2**20  # stays in the cache of one core
DEVICE_BYTES = 512 * 2**20  # kernels long enough to hide the time of their launch
SCAN_BYTES = 40  # per pixel: both scans with the int64 indices of cummax, distances before and after an axis


def inside_squared(labels: Tensor, spacing: tuple[float, ...], max_bytes: int | None = None) -> Tensor:
    """Return the squared distance of each pixel to the nearest pixel of another class, all classes at once.

    `labels` is an integer `(B, *S)` tensor, `spacing` one step per spatial axis; the result is float32
    `(B, *S)`, infinite where the item has no other class. Raises `ValueError` where `max_bytes` does not hold
    one item.

    Why one pass serves all classes: let D be the distance of pixel i to another class along the axis at hand.
    A pixel j of i's class on this line offers a distance that some pixel of another class has; a pixel j of
    another class offers `(spacing (i - j)) ** 2 >= D ** 2` or more. So the minimum of `D ** 2` and all offers
    is right, and nobody has to ask which class j has.
    """
    half = _half_of(max_bytes, labels)
    result = torch.empty(labels.shape, device=labels.device)
    items = _items_at_a_time(labels, half)
    for part, squared in zip(torch.split(labels, items), torch.split(result, items), strict=True):
        squared.copy_(_inside(part, spacing, half))
    return result


def outside_squared(
    labels: Tensor, num_classes: int, spacing: tuple[float, ...], max_bytes: int | None = None
) -> Tensor:
    """Return the squared distance of each pixel to the nearest pixel of each class, 0 inside the class.

    Arguments and errors as in `inside_squared`; the result is float32 `(B, K, *S)`, infinite for a class that
    the item does not have.
    """
    half = _half_of(max_bytes, labels)
    result = torch.empty((len(labels) * num_classes, *labels.shape[1:]), device=labels.device)
    # Class by class rather than item by item, so that pixels out of a class's reach lie together.
    channels = torch.arange(len(result), device=labels.device).view(-1, num_classes).t().flatten()
    for part in torch.split(channels, _items_at_a_time(labels, half)):
        classes = (part % num_classes).view(-1, *[1] * (labels.ndim - 1))
        result[part] = _outside(labels[part // num_classes] == classes, spacing, half)
    return result.view(len(labels), num_classes, *labels.shape[1:])


def _inside(labels: Tensor, spacing: tuple[float, ...], half: int) -> Tensor:
    first, *others = _longest_first(labels)
    squared = _squared_to_change(labels, first, spacing[first - 1])
    for axis in others:
        step = spacing[axis - 1]
        offers = _minimum_of_sums(squared, axis, step, half)
        squared = torch.minimum(offers, _squared_to_change(labels, axis, step))
    return squared


def _outside(seeds: Tensor, spacing: tuple[float, ...], half: int) -> Tensor:
    first, *others = _longest_first(seeds)
    lines = _lines(seeds, first)
    steps = torch.minimum(_steps_back(lines), _steps_back(lines.flip(1)).flip(1))
    squared = _from_lines(steps.square_().mul_(spacing[first - 1] ** 2), seeds.shape, first)
    for axis in others:
        squared = _minimum_of_sums(squared, axis, spacing[axis - 1], half)
    return squared


def _squared_to_change(labels: Tensor, axis: int, step: float) -> Tensor:
    """Squared distance along `axis` to the nearest pixel of another class, infinite where there is none."""
    lines = _lines(labels, axis)
    before, after = (torch.zeros(lines.shape, dtype=torch.bool, device=lines.device) for _ in range(2))
    torch.ne(lines[:, 1:], lines[:, :-1], out=before[:, 1:])
    after[:, :-1] = before[:, 1:]
    # The pixel of the other class lies a step beyond the one that is next to it.
    steps = torch.minimum(_steps_back(before), _steps_back(after.flip(1)).flip(1)).add_(1)
    return _from_lines(steps.square_().mul_(step**2), labels.shape, axis)


def _steps_back(marks: Tensor) -> Tensor:
    """Steps along `(L, n)` lines back to the nearest mark, 0 at it, infinite where none came before."""
    position = torch.arange(marks.shape[1], device=marks.device, dtype=torch.float32)
    latest = torch.where(marks, position, -torch.inf).cummax(dim=1).values
    return torch.sub(position, latest, out=latest)


def _minimum_of_sums(squared: Tensor, axis: int, step: float, half: int) -> Tensor:
    """`min_j squared_j + (step (i - j)) ** 2` for every pixel i of every line along `axis`."""
    lines = _lines(squared, axis)
    n = lines.shape[1]
    position = torch.arange(n, device=lines.device, dtype=torch.float64)
    cost = ((position[:, None] - position) * step).square_().float()  # (n, n)
    minimum = torch.empty_like(lines)
    rows = min(len(lines), half // (4 * n * n))
    table = torch.empty(rows * n * n, device=lines.device)  # once: fresh memory costs more than the sums
    for part, result in zip(torch.split(lines, rows), torch.split(minimum, rows), strict=True):
        finite = part.isfinite().any(dim=0).nonzero().flatten().tolist()
        if finite:
            reach = slice(finite[0], finite[-1] + 1)
            sums = table[: len(part) * n * (reach.stop - reach.start)].view(len(part), -1, n)  # (l, j, i)
            torch.amin(torch.add(part[:, reach, None], cost[reach], out=sums), dim=1, out=result)
        else:
            result.fill_(torch.inf)
    return _from_lines(minimum, squared.shape, axis)


def _longest_first(items: Tensor) -> list[int]:
    """The spatial axes of `(B, *S)`, longest first: the scan costs n per line, brute force n ** 2."""
    return sorted(range(1, items.ndim), key=lambda axis: -items.shape[axis])


def _lines(items: Tensor, axis: int) -> Tensor:
    """All lines along `axis`, `(L, n)` and contiguous, also where a view would do: reductions rely on it."""
    return items.movedim(axis, -1).reshape(-1, items.shape[axis]).contiguous()


def _from_lines(lines: Tensor, shape: torch.Size, axis: int) -> Tensor:
    """The inverse of `_lines`, a view."""
    return lines.view(*shape[:axis], *shape[axis + 1 :], shape[axis]).movedim(-1, axis)


def _half_of(max_bytes: int | None, labels: Tensor) -> int:
    """Half the memory to use: for scans, and for sums."""
    longest_brute = sorted(labels.shape[1:])[-2]
    needed = 2 * max(SCAN_BYTES * labels[0].numel(), 4 * longest_brute**2)
    if max_bytes is None:
        max_bytes = max(needed, CPU_BYTES if labels.device.type == "cpu" else DEVICE_BYTES)
    if max_bytes < needed:
        raise ValueError(
            f"max_bytes: expected at least {needed}, what one item of shape {tuple(labels.shape[1:])} needs, "
            f"got {max_bytes}"
        )
    return max_bytes // 2


def _items_at_a_time(labels: Tensor, half: int) -> int:
    return half // (SCAN_BYTES * labels[0].numel())
