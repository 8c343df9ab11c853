import io
import os
import struct
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from reidsearch.errors import ImageError
from reidsearch.pictures import contents, decoding, depths
from tests.nasty import png


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def gradient(width: int = 8, height: int = 16) -> Image.Image:
    rows = np.linspace(0, 255, height).astype(np.uint8)
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[:, :, 0] = rows[:, None]
    return Image.fromarray(pixels)


def test_an_rgb_picture_comes_back_pixel_for_pixel() -> None:
    decoded = decoding.decode(encoded(gradient()))
    assert decoded.dtype == np.uint8
    assert decoded.shape == (16, 8, 3)
    assert (decoded == np.asarray(gradient())).all()


def test_grey_palette_and_one_bit_pictures_become_rgb() -> None:
    grey = Image.fromarray(np.full((4, 4), 90, dtype=np.uint8))
    assert (decoding.decode(encoded(grey)) == 90).all()
    palette = Image.new("RGB", (4, 4), (10, 200, 30)).convert("P", palette=Image.Palette.ADAPTIVE)
    assert decoding.decode(encoded(palette))[0, 0] == pytest.approx([10, 200, 30], abs=8)
    one_bit = Image.new("1", (4, 4), 1)
    assert (decoding.decode(encoded(one_bit)) == 255).all()


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    deep = Image.fromarray(np.full((4, 4), 32768, dtype=np.uint16))
    assert decoding.decode(encoded(deep))[0, 0] == pytest.approx([127, 127, 127], abs=1)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize(
    ("top", "white", "depth"),
    [
        (255, 255, "8 bits"),
        (900, 1023, "10 bits"),
        (4095, 4095, "12 bits"),
        (2100, 4095, "12 bits"),
        (9000, 16383, "14 bits"),
        (16384, 65535, None),
        (65535, 65535, None),
    ],
)
def test_the_usual_depths_in_two_bytes_are_told_by_the_brightest_pixel(
    kind: str, top: int, white: int, depth: str | None
) -> None:
    values = np.linspace(0, top, 128).round().astype(np.uint16).reshape(16, 8)
    picture = decoding.picture(encoded(Image.fromarray(values), kind))
    expected = values.astype(np.float64) * 255 / white
    assert np.abs(picture.pixels[:, :, 0] - expected).max() <= 1
    assert picture.depth == depth


@pytest.mark.parametrize(
    ("top", "white", "depth"),
    [
        (255, 255, "8 bits"),
        (4095, 4095, "12 bits"),
        (16383, 16383, "14 bits"),
        (65535, 65535, None),
    ],
)
def test_colours_in_two_bytes_each_are_scaled_likewise(
    top: int, white: int, depth: str | None
) -> None:
    values = np.linspace(0, top, 18).round().astype(np.uint16).reshape(3, 2, 3)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    picture = decoding.picture(png(2, 3, depth=16, rows=rows))
    expected = values.astype(np.float64) * 255 / white
    assert np.abs(picture.pixels - expected).max() <= 1
    assert picture.depth == depth


@pytest.mark.parametrize(
    ("channels", "color"), [(4, 6), (2, 4)], ids=["colours and alpha", "grey and alpha"]
)
@pytest.mark.parametrize("opaque", ["whole range", "range of the colours"])
@pytest.mark.parametrize(
    ("top", "depth"), [(255, "8 bits"), (1023, "10 bits"), (4095, "12 bits"), (65535, None)]
)
def test_with_alpha_in_two_bytes_colours_are_scaled_likewise_and_laid_on_white(
    channels: int, color: int, opaque: str, top: int, depth: str | None
) -> None:
    most = 65535 if opaque == "whole range" else top
    values = np.linspace(0, top, 6 * 5 * channels).round().astype(np.uint16)
    values = values.reshape(6, 5, channels)
    values[..., -1] = most
    values[0, :, -1] = most // 2
    values[1, 0, -1] = 0
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    picture = decoding.picture(png(5, 6, depth=16, color=color, rows=rows))
    alpha = values[..., -1:] / most
    expected = values[..., : channels - 1] / top * 255 * alpha + 255 * (1 - alpha)
    assert np.abs(picture.pixels - expected).max() <= 1
    assert picture.depth == depth


def test_a_black_picture_of_16_bits_stays_black() -> None:
    black = decoding.picture(encoded(Image.fromarray(np.zeros((4, 4), dtype=np.uint16))))
    assert (black.pixels == 0).all()
    assert black.depth is None


def test_of_floating_point_the_brightest_finite_pixel_is_white() -> None:
    values = np.array([[0, 0.5, 1], [2, np.nan, np.inf]], dtype=np.float32)
    picture = decoding.picture(encoded(Image.fromarray(values), "TIFF"))
    assert picture.pixels[:, :, 0].tolist() == [[0, 63, 127], [255, 0, 255]]
    assert picture.depth == depths.OWN_RANGE


def test_avif_and_heic_are_read_where_there_is_a_decoder() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    flat = Image.new("RGB", (64, 128), (200, 40, 90))
    buffer = io.BytesIO()
    pillow_heif.from_pillow(flat).save(buffer, quality=95)
    files = [buffer.getvalue()]
    if features.check("avif"):
        files.append(encoded(flat, "AVIF", quality=95))
    for data in files:
        decoded = decoding.decode(data)
        assert decoded.shape == (128, 64, 3)
        assert decoded[64, 32].tolist() == pytest.approx([200, 40, 90], abs=6)
        for end in range(0, len(data), max(1, len(data) // 20)):
            with suppress(ImageError):
                decoding.decode(data[:end])


def test_heic_without_its_plug_in_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # importing it fails
    decoding._can_read_heif.cache_clear()
    try:
        with pytest.raises(ImageError, match="HEIC picture, and pillow-heif is not installed"):
            decoding.decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 99)
    finally:
        decoding._can_read_heif.cache_clear()


def test_jpegs_by_all_their_endings_are_pictures() -> None:
    assert {".jpg", ".jpeg", ".jpe", ".jfif", ".heic", ".avif"} <= contents.SUFFIXES


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((2, 2), "too few"),
        ((7, 40), "too few"),
        ((1920, 1080), "wider than tall"),
        ((128, 64), "wider than tall"),
        ((20, 200), "far too narrow"),
        ((1080, 1920), "whole frame"),
        ((64, 128), None),  # Market-1501's
        ((8, 16), None),
        ((60, 60), None),
        ((100, 500), None),
        ((400, 1200), None),
    ],
)
def test_what_is_hardly_a_crop_of_one_person_is_told_by_size_and_shape(
    size: tuple[int, int], reason: str | None
) -> None:
    told = decoding.picture(encoded(Image.new("RGB", size)), size=(16, 8)).unlike_crop
    if reason is None:
        assert told is None
    else:
        assert f"{size[0]} x {size[1]} pixels" in str(told)
        assert reason in str(told)


def test_a_turned_picture_is_judged_as_it_is_shown() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = encoded(Image.new("RGB", (128, 64)), exif=exif)
    assert decoding.picture(lying).unlike_crop is None


def test_cmyk_becomes_rgb() -> None:
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    red, green, blue = decoding.decode(encoded(cyan, "JPEG", quality=95))[4, 4].tolist()
    assert red < 60 < 150 < min(green, blue)


def test_transparency_lies_on_white() -> None:
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert (decoding.decode(encoded(clear)) == 255).all()
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    assert decoding.decode(encoded(half))[0, 0] == pytest.approx([127] * 3, abs=1)


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (4, 4), c) for c in ("red", "lime", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decoding.decode(data)[0, 0].tolist() == [255, 0, 0]


def test_exif_rotation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees clockwise
    data = encoded(gradient(8, 16), exif=exif)
    decoded = decoding.decode(data)
    assert decoded.shape == (8, 16, 3)
    assert (decoded == np.rot90(np.asarray(gradient(8, 16)), k=-1)).all()


def test_resizing_equals_torchvisions() -> None:
    from torchvision.transforms import Resize

    noise = np.random.default_rng(0).integers(0, 256, (37, 23, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    expected = np.asarray(Resize((16, 8))(picture))
    assert (decoding.decode(encoded(picture), size=(16, 8)) == expected).all()


def bomb(width: int, height: int) -> bytes:
    """A PNG that promises width x height pixels in a few bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"this is text, named .jpg", "not a picture"),
        (b"\xff\xd8\xff\xe0", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (bomb(7_000, 7_000), "more than the 40 megapixels"),
        (bomb(60_000, 60_000), "decompression bomb"),
        (bomb(64, 128), "damaged or truncated"),
    ],
)
def test_what_is_no_complete_picture_is_an_error_with_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        decoding.decode(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_picture_cut_anywhere_is_an_error_or_a_picture_never_anything_else(kind: str) -> None:
    data = encoded(gradient(32, 64), kind)
    messages = []
    for end in range(0, len(data), max(1, len(data) // 100)):
        try:
            decoding.decode(data[:end])
        except ImageError as error:
            messages.append(error.message)
    assert len(messages) > 50
    assert not any("\n" in message for message in messages)


def test_a_truncated_jpeg_is_rejected() -> None:
    data = encoded(gradient(64, 128), "JPEG")
    with pytest.raises(ImageError, match="truncated"):
        decoding.decode(data[: len(data) * 2 // 3])


def test_files_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(ImageError, match="empty"):
        contents.read_bytes(tmp_path / "empty.jpg")
    with pytest.raises(ImageError, match="no such file"):
        contents.read_bytes(tmp_path / "missing.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(ImageError, match="not a regular file"):
        contents.read_bytes(tmp_path / "folder.jpg")
    huge = tmp_path / "huge.jpg"
    with huge.open("wb") as file:
        file.truncate(contents.MAX_BYTES + 1)
    with pytest.raises(ImageError, match="too large"):
        contents.read_bytes(huge)


def test_a_file_without_permission_says_so(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(encoded(gradient()))
    (tmp_path / "secret.jpg").chmod(0)
    as_root = os.geteuid() == 0
    if as_root:  # who may read everything; nobody may not
        os.seteuid(65534)
    try:
        with pytest.raises(ImageError, match="permission denied"):
            contents.read_bytes(tmp_path / "secret.jpg")
    finally:
        if as_root:
            os.seteuid(0)
