"""Damage to files, by a seeded generator: bytes of any file, and values of JSON that stays JSON."""

import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np

from rwseg.core.errors import RwsegError

Mutation = Callable[[np.random.Generator, bytes], bytes]

ODD_BYTES = (
    b"\0" * 4,
    b"\xff" * 4,
    b"\x7f\x80\0\0",
    b"\0\0\x80\x7f",
    b"\0\0\xc0\x7f",
    b"\x80\0\0\0",
    b"-1",
    b"nan",
    b"1e999",
)
"""Zero, minus one, infinity and NaN in either byte order, and what text makes of them."""

ODD_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1.5, 10**30, 1e308, float("nan"), float("inf"), "", "x", "0", "../..", "a\0b",
    [], [None], [[1]], {}, {"x": 1},
)  # fmt: skip


def bytes_changed(rng: np.random.Generator, content: bytes, within: int | None = None) -> bytes:
    """One to four changes: bits flipped, odd numbers, parts cut out, doubled or moved, an end cut off."""
    for _ in range(rng.integers(1, 5)):
        limit = min(within or len(content), len(content))
        if limit < 2:
            break
        at = int(rng.integers(limit))
        length = int(rng.integers(1, 9))
        part = content[at : at + length]
        odd = ODD_BYTES[rng.integers(len(ODD_BYTES))]
        choices = (
            content[:at] + bytes([content[at] ^ (1 << int(rng.integers(8)))]) + content[at + 1 :],
            content[:at] + rng.bytes(length) + content[at + length :],
            content[:at] + odd + content[at + len(odd) :],
            content[:at] + content[at + length :],
            content[:at] + part + content[at:],
            content[:at] if within is None else content,
        )
        content = choices[rng.choice(len(choices), p=(0.3, 0.2, 0.3, 0.08, 0.08, 0.04))]
    return content


def header_changed(rng: np.random.Generator, content: bytes) -> bytes:
    """Within a NIfTI header and its extension flag, the length kept."""
    return bytes_changed(rng, content[:352])[:352].ljust(352, b"\0") + content[352:]


def inside_gzip(mutation: Mutation) -> Mutation:
    """The same before compression: gzip's checksum is right."""
    return lambda rng, content: gzip.compress(mutation(rng, gzip.decompress(content)), 1)


def inside_png(rng: np.random.Generator, content: bytes) -> bytes:
    """One chunk changed, with the right checksum."""
    chunks, at = [], 8
    while at < len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += length + 12
    number = int(rng.integers(len(chunks)))
    kind, data = chunks[number]
    chunks[number] = (kind, bytes_changed(rng, data))
    made = content[:8]
    for kind, data in chunks:
        made += len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
    return made


def inside_zip(rng: np.random.Generator, content: bytes) -> bytes:
    """One member of an archive changed, with the right checksum; the pickle more often than the tensors."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        names = old.namelist()
        pickles = [name for name in names if name.endswith("data.pkl")]
        chosen = pickles[0] if rng.random() < 0.8 else names[rng.integers(len(names))]
        for name in names:
            data = old.read(name)
            new.writestr(name, bytes_changed(rng, data) if name == chosen else data)
    return buffer.getvalue()


def values_changed(rng: np.random.Generator, content: bytes) -> bytes:
    """Some value of a JSON file, at any depth, replaced or removed, or a key renamed; the file stays JSON."""
    tree = [json.loads(content)]
    for _ in range(rng.integers(1, 4)):
        places = list(_places(tree))
        holder, key = places[rng.integers(len(places))]
        how = rng.random()
        if how < 0.15 and isinstance(holder, dict):
            holder[f"{key}x"] = holder.pop(key)
        elif how < 0.3 and holder is not tree:
            del holder[key]
        else:
            holder[key] = deepcopy(ODD_VALUES[rng.integers(len(ODD_VALUES))])
    return json.dumps(tree[0]).encode()


def words_changed(rng: np.random.Generator, content: bytes) -> bytes:
    """Some field of a text of lines (CSV, YAML, configuration) replaced by another word."""
    words = [str(value).encode() for value in ODD_VALUES if value != "a\0b"] + [
        b"nan",
        b"-inf",
        b"1e400",
        b"'",
        b"{",
    ]
    lines = content.splitlines()
    for _ in range(rng.integers(1, 4)):
        number = int(rng.integers(len(lines)))
        separator = b"," if b"," in lines[number] else b":"
        fields = lines[number].split(separator)
        fields[rng.integers(len(fields))] = words[rng.integers(len(words))]
        lines[number] = separator.join(fields)
    return b"\n".join(lines) + b"\n"


def either(*mutations: Mutation) -> Mutation:
    """One of `mutations`, whichever the generator says."""
    return lambda rng, content: mutations[rng.integers(len(mutations))](rng, content)


def _places(tree: Any) -> Any:
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in keys:
        yield tree, key
        yield from _places(tree[key])


def outcomes(
    read: Callable[[], object],
    path: Path,
    mutation: Mutation,
    count: int,
    named: str | None = None,
    seed: int = 15,
) -> dict[str, int]:
    """Damage `path` in `count` ways and `read` each time: how many were read, and how many refused.

    Refused means an error of ours that names the file (or `named` instead). Anything else fails, with the
    number of the damage. The file is sound again afterwards.
    """
    sound, found = path.read_bytes(), {"read": 0, "refused": 0}
    name = path.name if named is None else named
    for number in range(count):
        path.write_bytes(mutation(np.random.default_rng([seed, number]), sound))
        try:
            read()
        except RwsegError as error:
            found["refused"] += 1
            if name not in str(error):
                raise AssertionError(f"damage {number} of {path.name} is not named: {error}") from error
        except Exception as error:
            raise AssertionError(
                f"damage {number} of {path.name}: {type(error).__name__}: {error}"
            ) from error
        else:
            found["read"] += 1
    path.write_bytes(sound)
    return found
