"""Stored images as pictures: ``/api/images/{id}``."""

import io
from collections.abc import Mapping

from fastapi import APIRouter
from PIL import Image
from starlette.responses import Response

from reidsearch import images
from reidsearch.errors import ImageError
from reidsearch.service.asking import Id
from reidsearch.service.parts import Searching
from reidsearch.service.problems import Problem
from reidsearch.service.replies import PROBLEM, Described

router = APIRouter(prefix="/api", tags=["images"])

# What browsers show, by how a file of it begins. Others are sent as PNG.
SHOWN: Mapping[bytes, str] = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"GIF8": "image/gif",
}
PICTURE: Described = {
    200: {
        "description": "The crop.",
        "content": {kind: {"schema": {"type": "string", "format": "binary"}}
                    for kind in SHOWN.values()},
    }
}  # fmt: skip


@router.get("/images/{id}", responses=PICTURE | PROBLEM, response_class=Response)
async def image(asking: Searching, id: Id) -> Response:
    """A stored image's picture: the file's bytes where browsers show such, else a PNG of it."""

    def read() -> tuple[bytes, str]:
        probe = asking.gallery.stored(id)
        probe.check()  # what is called a picture is one, whatever else its bytes may also be
        return showable(probe.data)

    try:
        data, kind = await asking.run(read)
    except ImageError as error:
        raise Problem(
            410,
            f"the picture is not there any more: {error.message}",
            hint="Its vector is still searched; ingest it again, or forget it.",
        ) from None
    return Response(data, media_type=kind)


def showable(data: bytes) -> tuple[bytes, str]:
    """A picture's bytes and media type, made anew where browsers do not show its format."""
    for beginning, kind in SHOWN.items():
        if data.startswith(beginning):
            return data, kind
    buffer = io.BytesIO()
    Image.fromarray(images.decode(data)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue(), "image/png"
