"""Which files of a folder are images, which are masks, and which of them belong together."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rwseg.core.faults import some
from rwseg.data.io.file_names import channel_of, is_image, stem
from rwseg.data.names import name_options

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Naming:
    """What names end in: one suffix per channel (one that is empty for a file of all), and that of masks."""

    suffixes: tuple[str, ...]
    mask_suffix: str


@dataclass(frozen=True)
class Part:
    """The files of one split in `folder`: the images below `images`, the masks below `masks`."""

    split: str
    images: Path
    masks: Path

    def files(self, naming: Naming) -> tuple[list[Path], list[Path]]:
        """Images and masks; in one folder for both it is the suffix that tells them apart."""
        images = image_files(self.images)
        if self.images != self.masks:
            return images, image_files(self.masks) if self.masks.is_dir() else []
        suffix = naming.mask_suffix
        masks = {path for path in images if suffix and stem(path.name).endswith(suffix)}
        return [path for path in images if path not in masks], sorted(masks)


@dataclass(frozen=True)
class Pair:
    """The files of a case; its `name` is their path below the folder, `_` for slashes, without suffixes."""

    name: str
    split: str
    images: tuple[Path, ...]
    mask: Path | None


@dataclass
class Listing:
    """The cases that were found, and the names of what makes none, kind by kind.

    `options` are settings by which more of the names would go together.
    """

    pairs: list[Pair] = field(default_factory=list)
    several: list[str] = field(default_factory=list)
    without_channel: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    without_mask: list[str] = field(default_factory=list)
    without_image: list[str] = field(default_factory=list)
    options: str = ""

    def faults(self, naming: Naming) -> Iterator[str]:
        """A sentence for each kind."""
        channels = " and ".join(f"*{suffix}" for suffix in naming.suffixes)
        option = f"; the names suggest {self.options}" if self.options else ""
        for names, kind, mend in (
            (
                self.several,
                "names of more than one file, of which none is known to count",
                "rename all but one, or move them out of this folder",
            ),
            (
                self.without_channel,
                f"images whose names do not end as dataset.channels says ({channels})",
                "rename them, or correct dataset.channels",
            ),
            (
                self.incomplete,
                f"cases that lack a channel (expected {channels} of each)",
                "add the files, or move the others out of this folder",
            ),
            (
                self.without_mask,
                f"images without a mask (expected NAME{naming.mask_suffix}.* for each)",
                f"add the masks, or move these to test/images, which needs none{option}",
            ),
            (
                self.without_image,
                f"masks without an image (expected NAME for NAME{naming.mask_suffix}.*)",
                f"add the images, or move the masks out of this folder{'' if self.without_mask else option}",
            ),
        ):
            if names:
                yield f"{len(names)} {kind}: {some(names)}; {mend}"


def listed(parts: Sequence[Part], naming: Naming) -> Listing:
    """The cases of all parts."""
    listing = Listing()
    stems: tuple[list[str], list[str]] = [], []
    for part in parts:
        images, masks = part.files(naming)
        for known, paths in zip(stems, (images, masks), strict=True):
            known += [stem(path.name) for path in paths]
        masks_of = _masks_by_case(part, masks, naming, listing)
        for name, channels in sorted(_by_case(part, images, naming, listing).items()):
            _add(listing, name, part.split, channels, masks_of.pop(name, []), naming)
        listing.without_image += [paths[0].name for _, paths in sorted(masks_of.items())]
    if listing.without_mask or listing.without_image:
        listing.options = name_options(*stems)
    return listing


def image_files(folder: Path) -> list[Path]:
    """The images in a folder and below it; the log names other files, but for those that systems leave."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    shown = [path for path in files if not any(map(_is_hidden, path.relative_to(folder).parts))]
    others = [path.name for path in shown if not is_image(path)]
    if others:
        log.info("%s: ignored, because they are no images: %s", folder, some(others))
    return [path for path in shown if is_image(path)]


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _by_case(
    part: Part, images: Sequence[Path], naming: Naming, listing: Listing
) -> dict[str, dict[int, list[Path]]]:
    """Image files by the name of their case and the number of their channel."""
    found: dict[str, dict[int, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in images:
        name, channel = channel_of(stem(path.name), naming.suffixes)
        if channel is None:
            listing.without_channel.append(path.name)
        else:
            found[_below(part.images, path, name)][channel].append(path)
    return found


def _masks_by_case(
    part: Part, masks: Sequence[Path], naming: Naming, listing: Listing
) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    for path in masks:
        name, channel = channel_of(stem(path.name), (naming.mask_suffix,))
        if channel is None:
            listing.without_image.append(path.name)
        else:
            found[_below(part.masks, path, name)].append(path)
    return found


def _below(folder: Path, path: Path, name: str) -> str:
    return "_".join((*path.parent.relative_to(folder).parts, name))


def _add(
    listing: Listing,
    name: str,
    split: str,
    channels: dict[int, list[Path]],
    masks: list[Path],
    naming: Naming,
) -> None:
    """Sort a case into the listing, with its files or with what is wrong about them."""
    double = [paths for paths in (*channels.values(), masks) if len(paths) > 1]
    if double:
        listing.several.append(" and ".join(path.name for path in double[0]))
    elif len(channels) < len(naming.suffixes):
        listing.incomplete.append(name)
    elif not masks and split != "test":
        listing.without_mask.append(channels[0][0].name)
    else:
        images = tuple(channels[number][0] for number in sorted(channels))
        listing.pairs.append(Pair(name, split, images, masks[0] if masks else None))
