import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reidsearch import images
from reidsearch.errors import ImageError


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
    decoded = images.decode(encoded(gradient()))
    assert decoded.dtype == np.uint8
    assert decoded.shape == (16, 8, 3)
    assert (decoded == np.asarray(gradient())).all()


def test_grey_palette_and_one_bit_pictures_become_rgb() -> None:
    grey = Image.fromarray(np.full((4, 4), 90, dtype=np.uint8))
    assert (images.decode(encoded(grey)) == 90).all()
    palette = Image.new("RGB", (4, 4), (10, 200, 30)).convert("P", palette=Image.Palette.ADAPTIVE)
    assert images.decode(encoded(palette))[0, 0] == pytest.approx([10, 200, 30], abs=8)
    one_bit = Image.new("1", (4, 4), 1)
    assert (images.decode(encoded(one_bit)) == 255).all()


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    deep = Image.fromarray(np.full((4, 4), 32768, dtype=np.uint16))
    assert images.decode(encoded(deep))[0, 0] == pytest.approx([127, 127, 127], abs=1)


def test_cmyk_becomes_rgb() -> None:
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    red, green, blue = images.decode(encoded(cyan, "JPEG", quality=95))[4, 4].tolist()
    assert red < 60 < 150 < min(green, blue)


def test_transparency_lies_on_white() -> None:
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert (images.decode(encoded(clear)) == 255).all()
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    assert images.decode(encoded(half))[0, 0] == pytest.approx([127] * 3, abs=1)


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (4, 4), c) for c in ("red", "lime", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert images.decode(data)[0, 0].tolist() == [255, 0, 0]


def test_exif_rotation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees clockwise
    data = encoded(gradient(8, 16), exif=exif)
    decoded = images.decode(data)
    assert decoded.shape == (8, 16, 3)
    assert (decoded == np.rot90(np.asarray(gradient(8, 16)), k=-1)).all()


def test_resizing_equals_torchvisions() -> None:
    from torchvision.transforms import Resize

    noise = np.random.default_rng(0).integers(0, 256, (37, 23, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    expected = np.asarray(Resize((16, 8))(picture))
    assert (images.decode(encoded(picture), size=(16, 8)) == expected).all()


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
        images.decode(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_picture_cut_anywhere_is_an_error_or_a_picture_never_anything_else(kind: str) -> None:
    data = encoded(gradient(32, 64), kind)
    messages = []
    for end in range(0, len(data), max(1, len(data) // 100)):
        try:
            images.decode(data[:end])
        except ImageError as error:
            messages.append(error.message)
    assert len(messages) > 50
    assert not any("\n" in message for message in messages)


def test_a_truncated_jpeg_is_rejected() -> None:
    data = encoded(gradient(64, 128), "JPEG")
    with pytest.raises(ImageError, match="truncated"):
        images.decode(data[: len(data) * 2 // 3])


def test_files_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(ImageError, match="empty"):
        images.read_bytes(tmp_path / "empty.jpg")
    with pytest.raises(ImageError, match="no such file"):
        images.read_bytes(tmp_path / "missing.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(ImageError, match="not a regular file"):
        images.read_bytes(tmp_path / "folder.jpg")
    huge = tmp_path / "huge.jpg"
    with huge.open("wb") as file:
        file.truncate(images.MAX_BYTES + 1)
    with pytest.raises(ImageError, match="too large"):
        images.read_bytes(huge)


def test_a_file_without_permission_says_so(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(encoded(gradient()))
    (tmp_path / "secret.jpg").chmod(0)
    as_root = os.geteuid() == 0
    if as_root:  # who may read everything; nobody may not
        os.seteuid(65534)
    try:
        with pytest.raises(ImageError, match="permission denied"):
            images.read_bytes(tmp_path / "secret.jpg")
    finally:
        if as_root:
            os.seteuid(0)
