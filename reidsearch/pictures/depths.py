"""Pictures of other modes than RGB, and of more than 8 bits, in RGB of 8 bits."""

import io

import numpy as np
from PIL import Image, ImageFile, ImageOps

BAND = 256  # rows converted at once
DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras put into two bytes
OWN_RANGE = "a range of its own"
# Pillow keeps one byte of each two where a picture has several channels: the way to read a part of
# a file, and the one that gives the other byte. Of grey with alpha there is none; as four channels
# of one byte, all its bytes are read.
GREY_AND_ALPHA = "LA;16B"
OTHER_BYTE = {
    "RGB;16B": "RGB;16L", "RGB;16L": "RGB;16B",
    "RGBX;16B": "RGBX;16L", "RGBX;16L": "RGBX;16B",
    "RGBA;16B": "RGBA;16L", "RGBA;16L": "RGBA;16B",
    GREY_AND_ALPHA: "RGBA",
}  # fmt: skip


def to_rgb(image: Image.Image) -> tuple[Image.Image, str | None]:
    """The picture in RGB, and what was taken for white in one of more than 8 bits."""
    image.load()
    if image.mode == "RGB":
        return image, None
    white, depth = _white(image)
    # Band by band, because some steps need several times the picture's memory.
    rgb = Image.new("RGB", image.size)
    for top in range(0, image.height, BAND):
        rgb.paste(_band_to_rgb(_band(image, top), white), (0, top))
    return rgb, depth


def _band(image: Image.Image, top: int) -> Image.Image:
    return image.crop((0, top, image.width, min(top + BAND, image.height)))


def _white(image: Image.Image) -> tuple[float, str | None]:
    """The value that stands for white in a picture of more than 8 bits, and how it is called where
    it is not the greatest that the format has."""
    if not image.mode.startswith(("I", "F")):
        return 255.0, None
    bands = (np.asarray(_band(image, y)) for y in range(0, image.height, BAND))
    top = max(float(np.max(band, initial=0, where=np.isfinite(band))) for band in bands)
    if image.mode.startswith("F"):
        return max(top, 1e-9), OWN_RANGE
    bits = next((bits for bits in DEPTHS if top < 1 << bits), None)
    if bits is None:
        return top, OWN_RANGE
    if top <= 0 or bits == DEPTHS[-1]:
        return 65535.0, None
    return float((1 << bits) - 1), f"{bits} bits"


def lower_bytes(
    image: ImageFile.ImageFile, data: bytes, formats: tuple[str, ...]
) -> Image.Image | None:
    """Of a picture of 16 bits in several channels the lower bytes, where the upper ones of its
    colours, all that Pillow keeps, are nearly black; None of any other. It is turned as its EXIF
    says. ``data`` is the file's content, and may have one of these formats."""
    swapped = [tile for tile in map(_other_byte, image.tile) if tile is not None]
    if not swapped or len(swapped) != len(image.tile):
        return None
    if _brightest(image) >= 1 << (DEPTHS[-2] - 8):
        return None
    lower = Image.open(io.BytesIO(data), formats=formats)
    grey = any(_raw_mode(tile) == GREY_AND_ALPHA for tile in lower.tile)
    lower.tile = swapped
    lower.load()
    turned = ImageOps.exif_transpose(lower)
    if grey:  # all four bytes were read, as if they were four channels
        _, value, _, alpha = turned.split()
        return Image.merge("RGBA", (value, value, value, alpha))
    return turned


def _other_byte(tile: ImageFile._Tile) -> ImageFile._Tile | None:
    """The same part of a file, read by the other byte of each two; None where they are no two."""
    other = OTHER_BYTE.get(_raw_mode(tile))
    if other is None:
        return None
    args = (other, *tile.args[1:]) if isinstance(tile.args, tuple) else other
    return tile._replace(args=args)


def _raw_mode(tile: ImageFile._Tile) -> str:
    return str(tile.args[0] if isinstance(tile.args, tuple) else tile.args)


def _brightest(image: Image.Image) -> int:
    """The greatest value of a picture's colours; its alpha is none."""
    colours = image.getbands()[:3]
    return max(int(image.getchannel(colour).getextrema()[1]) for colour in colours)  # type: ignore[arg-type]


def colours_of_16_bits(upper: Image.Image, lower: Image.Image) -> tuple[Image.Image, str]:
    """The picture in RGB, scaled from the least depth that holds it, and that depth. Alpha, which a
    writer may keep in more bits than colours, is scaled from its own."""
    bits = _depth_of(_brightest(upper))
    whites = [float((1 << bits) - 1)] * 3
    if "A" in upper.getbands():
        opaque = int(upper.getchannel("A").getextrema()[1])  # type: ignore[arg-type]
        whites.append(float((1 << _depth_of(opaque)) - 1))
    rgb = Image.new("RGB", upper.size)
    for top in range(0, upper.height, BAND):
        high, low = (np.asarray(_band(one, top), dtype=np.float64) for one in (upper, lower))
        scaled = np.clip((high * 256 + low) * (255 / np.array(whites)), 0, 255)
        rgb.paste(_band_to_rgb(Image.fromarray(scaled.astype(np.uint8)), 255.0), (0, top))
    return rgb, f"{bits} bits"


def _depth_of(upper: int) -> int:
    """The least usual depth that holds values with that upper byte."""
    return next(depth for depth in DEPTHS if upper < 1 << (depth - 8))


def _band_to_rgb(image: Image.Image, white: float) -> Image.Image:
    if image.mode.startswith(("I", "F")):  # Pillow would clip these at 255 instead of scaling
        values = np.asarray(image, dtype=np.float64)
        grey = np.clip(values / white * 255, 0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if "A" in image.mode or "transparency" in image.info:
        rgba = image.convert("RGBA")
        paper = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(paper, rgba).convert("RGB")
    return image.convert("RGB")
