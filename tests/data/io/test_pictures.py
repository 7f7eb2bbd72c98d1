import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rwseg.core.errors import DataError
from rwseg.data.io.pictures import is_picture, read_picture

RNG = np.random.default_rng(0)


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG written by hand, chunk by chunk; `rows` are the samples, row after row."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    step = len(rows) // height
    filtered = b"".join(b"\0" + rows[i : i + step] for i in range(0, len(rows), step))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(filtered))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("depth", [8, 16])
def test_a_grey_png_is_read_as_it_was_written_by_hand(tmp_path: Path, depth: int) -> None:
    values = RNG.integers(0, 2**depth, (4, 5)).astype(f">u{depth // 8}")
    (tmp_path / "image.png").write_bytes(png(5, 4, depth, 0, values.tobytes()))
    volume = read_picture(tmp_path / "image.png")
    np.testing.assert_array_equal(volume.array, values.T[None, ..., None])
    assert volume.spacing == (1.0, 1.0, 1.0)
    assert volume.unit == "px"
    np.testing.assert_array_equal(volume.affine, np.eye(4))


@pytest.mark.parametrize(
    ("ending", "array"),
    [
        (".png", RNG.integers(0, 256, (4, 5)).astype(np.uint8)),
        (".PNG", RNG.integers(0, 2**16, (4, 5)).astype(np.uint16)),
        (".png", RNG.random((4, 5)) > 0.5),
        (".bmp", RNG.integers(0, 256, (4, 5)).astype(np.uint8)),
        (".tif", RNG.integers(0, 256, (4, 5)).astype(np.uint8)),
        (".tiff", RNG.integers(0, 2**16, (4, 5)).astype(np.uint16)),
        (".tif", RNG.integers(-(2**31), 2**31, (4, 5)).astype(np.int32)),
        (".tif", RNG.normal(size=(4, 5)).astype(np.float32)),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value.dtype),
)
def test_every_grey_kind_keeps_its_values(tmp_path: Path, ending: str, array: np.ndarray) -> None:
    path = tmp_path / f"image{ending}"
    Image.fromarray(array).save(path)
    assert is_picture(path)
    volume = read_picture(path)
    np.testing.assert_array_equal(volume.array, array.T[None, ..., None])
    assert np.issubdtype(volume.array.dtype, np.number)


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif"])
def test_colours_come_first(tmp_path: Path, ending: str) -> None:
    array = RNG.integers(0, 256, (4, 5, 3)).astype(np.uint8)
    Image.fromarray(array).save(tmp_path / f"image{ending}")
    volume = read_picture(tmp_path / f"image{ending}")
    assert volume.array.shape == (3, 5, 4, 1)
    np.testing.assert_array_equal(volume.array[..., 0], array.transpose(2, 1, 0))


def two_frames() -> bytes:
    buffer = io.BytesIO()
    frames = [Image.new("L", (5, 4), value) for value in (1, 2)]
    frames[0].save(buffer, "TIFF", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def saved(mode: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (5, 4), (9, 8, 7)).convert(mode).save(buffer, "TIFF" if mode == "CMYK" else "PNG")
    return buffer.getvalue()


SOUND = png(5, 4, 8, 0, RNG.integers(0, 256, 20).astype(np.uint8).tobytes())


def wide_tiff() -> bytes:
    """RGB of 16 bits, little-endian, uncompressed; Pillow writes none."""
    tags = [(256, 3, 5), (257, 3, 4), (258, 3, 16), (259, 3, 1), (262, 3, 2), (277, 3, 3), (278, 3, 4)]
    where = 8 + 2 + 12 * (len(tags) + 2) + 4
    entries = [struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags]
    entries[2] = struct.pack("<HHII", 258, 3, 3, where)  # three depths, beside the directory
    entries += [struct.pack("<HHII", 273, 4, 1, where + 6), struct.pack("<HHII", 279, 4, 1, 120)]
    directory = struct.pack("<H", len(entries)) + b"".join(sorted(entries)) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<HHH", 16, 16, 16) + bytes(120)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.png", b"", "expected a complete picture"),
        ("text.png", b"hello" * 20, "expected a complete picture"),
        ("short.png", SOUND[:-20], "expected a complete picture"),
        ("header.png", SOUND[:30], "expected a complete picture"),
        ("cut.tif", two_frames()[:60], "expected a complete picture"),
        ("wide.png", png(5, 4, 16, 2, bytes(120)), "expected at most 8 bits per colour, got 16"),
        ("wide.tif", wide_tiff(), "expected at most 8 bits per colour, got 16"),
        ("frames.tif", two_frames(), "expected one 2D picture, got 2 frames"),
        ("print.tif", saved("CMYK"), "expected a grey or RGB picture, got mode CMYK"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else str(value),
)
def test_what_cannot_be_read_whole_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: {message}"):
        read_picture(tmp_path / name)


def palette_png(depth: int, values: np.ndarray) -> bytes:
    """A PNG of `depth` bits whose palette shows classes 1 and 2 as 38 and 75 in grey."""
    colours = [0, 0, 0, 128, 0, 0, 0, 128, 0] + [9] * 39
    picture = Image.fromarray(values.astype(np.uint8)).convert("P")
    picture.putpalette(colours)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", bits=depth)
    return buffer.getvalue()


@pytest.mark.parametrize("depth", [2, 4, 8])
def test_of_labels_with_a_palette_the_indices_count(tmp_path: Path, depth: int) -> None:
    values, path = np.arange(20).reshape(4, 5) % 3, tmp_path / "label.png"
    path.write_bytes(palette_png(depth, values))
    np.testing.assert_array_equal(read_picture(path, labels=True).array[0, ..., 0], values.T)
    colours = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0]])
    np.testing.assert_array_equal(read_picture(path).array[..., 0], colours[values].transpose(2, 1, 0))


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_labels_in_grey_of_few_bits_are_not_stretched(tmp_path: Path, depth: int) -> None:
    values, path = np.arange(20).reshape(4, 5) % 2**depth, tmp_path / "label.png"
    bits = (values[..., None] >> np.arange(depth)[::-1]) & 1
    rows = np.packbits(bits.reshape(4, -1), axis=1)
    path.write_bytes(png(5, 4, depth, 0, rows.tobytes()))
    np.testing.assert_array_equal(read_picture(path, labels=True).array[0, ..., 0], values.T)
    scale = {1: 1, 2: 85, 4: 17}[depth]
    np.testing.assert_array_equal(read_picture(path).array[0, ..., 0], scale * values.T)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "CMYK"])
def test_nobody_is_told_to_turn_labels_into_grey(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "label.tif"
    path.write_bytes(saved(mode))
    with pytest.raises(
        DataError, match=rf"label\.tif: expected one label per pixel, got mode {mode}; save the "
    ):
        read_picture(path, labels=True)


@pytest.mark.parametrize("ending", [".jpg", ".JPEG"])
def test_jpeg_is_read_as_an_image_and_refused_as_labels(tmp_path: Path, ending: str) -> None:
    path, plain = tmp_path / f"a{ending}", np.full((4, 5, 3), (200, 100, 50), np.uint8)
    Image.fromarray(plain).save(path, "JPEG", quality=95)
    assert np.abs(read_picture(path).array[..., 0].astype(int) - plain.transpose(2, 1, 0)).max() <= 3
    Image.fromarray(plain[..., 0]).save(path, "JPEG")
    assert read_picture(path).array.shape == (1, 5, 4, 1)
    hidden = path.rename(tmp_path / "mask.png")  # the ending says nothing of the content
    Image.fromarray(plain[..., 0]).save(tmp_path / "mask.tif", compression="jpeg")
    for mask in (hidden, tmp_path / "mask.tif"):
        with pytest.raises(DataError, match=rf"{mask.name}: expected labels saved without loss, got JPEG"):
            read_picture(mask, labels=True)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_of_one_value_is_left_out_and_any_other_refused(tmp_path: Path, mode: str) -> None:
    colours = RNG.integers(0, 256, (4, 5, len(mode))).astype(np.uint8)
    colours[..., -1] = 255
    path = tmp_path / "a.png"
    Image.fromarray(colours, mode).save(path)
    volume = read_picture(path)
    np.testing.assert_array_equal(volume.array[..., 0], colours[..., :-1].transpose(2, 1, 0))
    assert [remark.kind for remark in volume.remarks] == [
        "an alpha channel of a single value, which is left out"
    ]
    colours[1, 2, -1] = 0
    Image.fromarray(colours, mode).save(path)
    with pytest.raises(
        DataError, match=r"a\.png: expected an opaque picture, got an alpha channel .* 0 to 255"
    ):
        read_picture(path)


def test_a_palette_of_greys_is_grey_and_a_transparent_one_is_refused(tmp_path: Path) -> None:
    values = np.arange(20, dtype=np.uint8).reshape(4, 5) % 3
    picture = Image.fromarray(values).convert("P")
    picture.putpalette([9, 9, 9, 70, 70, 70, 200, 200, 200])
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(
        read_picture(tmp_path / "a.png").array[..., 0], np.array([9, 70, 200])[values].T[None]
    )
    picture.save(tmp_path / "b.png", transparency=1)
    with pytest.raises(DataError, match=r"b\.png: expected an opaque picture"):
        read_picture(tmp_path / "b.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "b.png", labels=True).array[0, ..., 0], values.T)


def test_a_turned_photograph_is_taken_as_stored_and_named(tmp_path: Path) -> None:
    exif, path = Image.Exif(), tmp_path / "a.jpg"
    exif[0x0112] = 6
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(path, exif=exif)
    volume = read_picture(path)
    assert volume.array.shape == (1, 6, 4, 1)
    assert [remark.kind.partition(",")[0] for remark in volume.remarks] == ["an EXIF orientation"]


def test_colours_that_are_grey_are_told_how_to_become_labels(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="save one of the three channels, which are equal"):
        read_picture(tmp_path / "a.png", labels=True)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.png: this file is missing"):
        read_picture(tmp_path / "gone.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(DataError, match=r"folder\.png: cannot be read: Is a directory"):
        read_picture(tmp_path / "folder.png")


def test_a_bomb_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "huge.png").write_bytes(SOUND)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    with pytest.raises(DataError, match=r"huge\.png: expected a smaller picture"):
        read_picture(tmp_path / "huge.png")


def test_every_changed_byte_of_a_png_is_noticed_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(SOUND)
    sound = read_picture(path).array
    for index in range(len(SOUND)):
        path.write_bytes(SOUND[:index] + bytes([SOUND[index] ^ 0x10]) + SOUND[index + 1 :])
        try:
            array = read_picture(path).array
        except DataError:
            continue
        np.testing.assert_array_equal(array, sound)


@pytest.mark.parametrize("ending", [".bmp", ".tif"])
def test_any_damage_to_another_kind_is_named_or_read(tmp_path: Path, ending: str) -> None:
    """These formats have no checksums; what matters is that no other error than ours comes out."""
    buffer = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (4, 5, 3)).astype(np.uint8)).save(
        buffer, {".bmp": "BMP", ".tif": "TIFF"}[ending]
    )
    sound, path, named = buffer.getvalue(), tmp_path / f"image{ending}", 0
    for index in range(len(sound)):
        path.write_bytes(sound[:index] + bytes([sound[index] ^ 0x51]) + sound[index + 1 :])
        try:
            read_picture(path)
        except DataError:
            named += 1
    assert named > 10


@pytest.mark.parametrize(
    ("name", "settings", "remark"),
    [
        ("a.tif", {}, None),
        ("a.tif", {"dpi": (254, 254)}, "which is not used: distances are in pixels: a.tif: 0.1 mm"),
        ("a.tif", {"resolution_unit": "cm", "resolution": 50}, "in pixels: a.tif: 0.2 mm"),
        ("a.tif", {"tiffinfo": {282: 4.0, 283: 4.0, 296: 1}}, "in pixels: a.tif: 1/4 of a unit"),
        ("a.tif", {"dpi": (100, 50)}, "not square, taken for square ones: a.tif: 100 x 50 pixels per unit"),
        ("a.tif", {"dpi": (0, 50)}, None),
        ("a.png", {"dpi": (72, 72)}, None),
        ("a.png", {"dpi": (72, 144)}, "not square, taken for square ones: a.png: 72.01 x 144 pixels"),
        ("a.bmp", {}, None),
        ("a.bmp", {"dpi": (72, 36)}, "not square, taken for square ones: a.bmp: 72.01 x 35.99 pixels"),
    ],
)
def test_a_stated_resolution_is_not_used_and_that_is_said(
    tmp_path: Path, name: str, settings: dict[str, object], remark: str | None
) -> None:
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / name, **settings)
    volume = read_picture(tmp_path / name)
    assert volume.spacing == (1.0, 1.0, 1.0)
    assert volume.unit == "px"
    texts = [f"{kind}: {detail}" for kind, detail in volume.remarks]
    assert len(texts) == (remark is not None)
    assert remark is None or remark in texts[0]
