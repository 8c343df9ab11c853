"""Pictures made to do harm: bombs, loops, lies about size, two formats in one file."""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import cache

import numpy as np
from PIL import Image

KINDS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def small(mode: str = "RGB", size: tuple[int, int] = (6, 9)) -> Image.Image:
    """A few pixels of noise: a file of a few hundred bytes, so that each can be tried."""
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    if mode == "I;16":
        return Image.fromarray(noise[:, :, 0].astype(np.uint16) * 257)
    return Image.fromarray(noise).convert(mode)


def truncated(kind: str) -> Iterator[bytes]:
    """A small picture of that kind, cut before each of its bytes."""
    data = encoded(small(), kind)
    return (data[:end] for end in range(len(data)))


def flipped(kind: str, *, header: int = 200) -> Iterator[bytes]:
    """A small picture with one byte of its header changed, in four ways each."""
    data = encoded(small(), kind)
    for at in range(min(header, len(data))):
        for value in {0, 255, data[at] ^ 1, data[at] ^ 128} - {data[at]}:
            yield data[:at] + bytes([value]) + data[at + 1 :]


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int, height: int, *extra: bytes, depth: int = 8, color: int = 2, rows: bytes = b""
) -> bytes:
    """A PNG with that header, ``extra`` chunks and those filtered ``rows``."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + pixels + chunk(b"IEND", b"")


def tiff(entries: list[tuple[int, int, int, int]], *, next_directory: int = 0) -> bytes:
    """A little-endian TIFF of one directory, at 8: tag, type, count, value."""
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries))
    return head + body + struct.pack("<I", next_directory)


def plain_tiff(*, width: int = 4, pixels_at: int = 8, next_directory: int = 0) -> bytes:
    """A grey TIFF ``width`` x 2."""
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, 2),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, pixels_at),
        (278, 4, 1, 2),
        (279, 4, 1, width * 2),
    ]
    return tiff(entries, next_directory=next_directory) + b"\x7f" * 16


def with_exif(exif: bytes) -> bytes:
    """A small JPEG with that EXIF block."""
    data = encoded(small(), "JPEG")
    body = b"Exif\0\0" + exif
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


def animation(kind: str, frames: int) -> bytes:
    """An animation of that many frames, each of its own colour."""
    pictures = [Image.new("RGB", (4, 4), (i % 256, i // 256, 9)) for i in range(frames)]
    return encoded(pictures[0], kind, save_all=True, append_images=pictures[1:], duration=10)


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("evil.txt", "hello")
    return buffer.getvalue()


@cache
def good() -> dict[str, bytes]:
    """Odd, and yet pictures: each must be taken in."""
    one = encoded(small(), "PNG")
    files = {
        "jpeg-and-zip.jpg": encoded(small(), "JPEG") + archive(),
        "gif-and-html.gif": encoded(small(), "GIF") + b"<script>alert(1)</script>",
        "png-with-tail.png": one + b"\0" * 10_000,
        "a-png-called.jpg": one,
        "tiff-cycle.tif": plain_tiff(next_directory=8),
        "exif-loop.jpg": with_exif(tiff([(0x8769, 4, 1, 8), (0x8825, 4, 1, 8)], next_directory=8)),
        "exif-orientation.jpg": with_exif(tiff([(0x0112, 3, 1, 4711)])),
        "exif-orientation-text.jpg": with_exif(tiff([(0x0112, 2, 4, 0x39393939)])),
        "frames.gif": animation("GIF", 2000),
        "frames.webp": animation("WEBP", 2000),
        "bad-icc.jpg": encoded(small(), "JPEG", icc_profile=b"no profile at all" * 9),
        "cmyk.jpg": encoded(small("CMYK"), "JPEG"),
        "deep.png": encoded(small("I;16"), "PNG"),
        "deep-rgb.png": png(2, 2, depth=16, rows=(b"\0" + bytes(range(12))) * 2),
    }
    for mode in ("1", "L", "LA", "P", "RGBA"):
        files[f"mode-{mode}.png"] = encoded(small(mode), "PNG")
    for mode in ("1", "L", "CMYK", "F", "I;16", "LAB", "YCbCr"):
        files[f"mode-{mode.replace(';', '')}.tif"] = encoded(small(mode), "TIFF")
    return files


@cache
def bad() -> dict[str, bytes]:
    """No pictures, or none that may be decoded: each must be rejected, with a reason."""
    bomb = zlib.compress(b"\0" * 80_000_000, 9)
    head = b"\x89PNG\r\n\x1a\n"
    files = {
        "huge-header.png": png(2**31 - 1, 2**31 - 1),
        "bomb.png": png(60_000, 60_000),
        "many-pixels.png": png(20_000, 2_001, color=0),
        "long.png": png(70_000, 1, color=0, rows=b"\0" * 70_001),
        "tall.png": png(1, 70_000, color=0, rows=b"\0\0" * 70_000),
        "no-pixels.png": png(0, 5),
        "missing-rows.png": png(4000, 4000),
        "icc-bomb.png": png(2, 2, chunk(b"iCCP", b"x\0\0" + bomb), rows=b"\0" * 14),
        "text-bomb.png": png(2, 2, chunk(b"zTXt", b"x\0\0" + bomb), rows=b"\0" * 14),
        "texts-bomb.png": png(
            2,
            2,
            *(chunk(b"zTXt", b"x\0\0" + zlib.compress(b"\0" * 1_000_000)) for _ in range(70)),
            rows=b"\0" * 14,
        ),
        "chunk-length.png": head + b"\xff\xff\xff\xffIHDR",
        "wide.tif": plain_tiff(width=2**30),
        "strips-outside.tif": plain_tiff(pixels_at=2**31),
        "tags.tif": tiff([(t, 7, 2**31, 8) for t in range(300, 20_000)]),
        "huge.bmp": b"BM" + struct.pack("<IIIIiiHH", 99, 0, 54, 40, 2**30, -(2**30), 1, 24),
        "huge.gif": b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0\0\0",
        "huge.webp": b"RIFF\xff\xff\xff\xffWEBPVP8X\x0a\0\0\0" + b"\xff" * 10,
        "postscript.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "archive.png": archive(),
        "vector.png": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
        "nul.jpg": b"\0" * 4096,
        "random.jpg": random.Random(0).randbytes(4096),
        "jpeg-then-random.jpg": b"\xff\xd8\xff" + random.Random(1).randbytes(4096),
        "empty.png": b"",
    }
    for kind in KINDS:
        data = encoded(small(size=(24, 48)), kind)
        files[f"half-{kind}.{kind.lower()}"] = data[: len(data) // 2]
    return files


@cache
def large() -> dict[str, bytes]:
    """Pictures just below the limit of 40 megapixels, of kinds that take most memory."""
    side = 6300

    def flat(depth: int, color: int, size: int) -> bytes:
        return png(
            side, side, depth=depth, color=color, rows=(b"\0" + b"\x7f" * side * size) * side
        )

    return {
        "large-rgba.png": flat(8, 6, 4),
        "large-deep.png": flat(16, 0, 2),
        "large-rgb.png": flat(8, 2, 3),
        "large-grey-alpha.png": flat(8, 4, 2),
    }
