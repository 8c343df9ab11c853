"""Images in and out: crops that are pushed to ``/api/images``, pictures of what is stored."""

import io
from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, UploadFile
from PIL import Image
from starlette.responses import Response

from reidsearch.documents.ingests import AddedDocument
from reidsearch.errors import ImageError, ReidsearchError
from reidsearch.pictures import decoding
from reidsearch.pushing.add import Outcome
from reidsearch.pushing.crop import Crop
from reidsearch.search.probe import seconds
from reidsearch.service.asking import Id
from reidsearch.service.parts import Ingesting, Searching, only
from reidsearch.service.problems import Problem
from reidsearch.service.replies import PROBLEM, Described, Document, described
from reidsearch.types import LARGEST

router = APIRouter(prefix="/api", tags=["images"])

PUSH = (
    "image", "camera", "timestamp", "identity", "sequence", "frame", "name", "dataset", "site",
)  # fmt: skip
STATUS = {Outcome.STORED: 201, Outcome.WAITING: 202}
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


@router.post(
    "/images",
    status_code=201,
    responses=described(
        AddedDocument,
        "It was stored before.",
        more={
            201: "It is stored for good.",
            202: "It is kept for good, and will be stored when nobody else changes the gallery.",
        },
    ),
    response_class=Document,
    dependencies=[Depends(only(*PUSH))],
)
async def push(
    asking: Ingesting,
    image: Annotated[UploadFile, File(description="The crop of one person.")],
    camera: Annotated[str | None, Form(description="The camera's name.")] = None,
    timestamp: Annotated[
        str | None, Form(description="When it was taken: ISO 8601, or seconds since 1970.")
    ] = None,
    identity: Annotated[str | None, Form(description="Who it shows, where that is known.")] = None,
    sequence: Annotated[int | None, Form(ge=0, le=LARGEST)] = None,
    frame: Annotated[int | None, Form(ge=0, le=LARGEST, description="Within the sequence.")] = None,
    name: Annotated[
        str | None,
        Form(description="What you call the crop: of one name there is one, the last pushed."),
    ] = None,
    dataset: Annotated[
        str | None, Form(description="The data set that it belongs to, by default 'pushed'.")
    ] = None,
    site: Annotated[str | None, Form(description="Where the camera is.")] = None,
) -> Document:
    """Take in one crop, as a camera's software pushes them. The answer comes when it is stored for
    good, or kept for good where somebody else changes the gallery for long; pushing it again
    changes nothing."""
    data = await image.read()
    zone = asking.gallery.config.timezone

    def checked() -> Crop:
        return Crop(
            data,
            camera=camera or None,
            identity=identity or None,
            timestamp=seconds(timestamp, zone) if timestamp else None,
            sequence=sequence,
            frame=frame,
            name=name or None,
            dataset=dataset or None,
            site=site or None,
        )

    added = await asking.service.intake.add(await asking.run(checked))
    return Document(added.document(), STATUS.get(added.outcome, 200))


@router.get("/images/{id}", responses=PICTURE | PROBLEM, response_class=Response)
async def image(asking: Searching, id: Id) -> Response:
    """A stored image's picture: the file's bytes where browsers show such, else a PNG of it."""

    def read() -> tuple[bytes, str]:
        found = asking.gallery.pictures([id])[id]
        if isinstance(found, ReidsearchError):
            raise found
        decoding.picture(found, size=(1, 1))  # what is called one is one, whatever else it may be
        return showable(found)

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
    Image.fromarray(decoding.decode(data)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue(), "image/png"
