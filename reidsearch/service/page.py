"""The page at ``/``, for people: its files, and the parts of it that a gallery answers.

It asks by form fields, as ``/api/query`` is asked, and is answered HTML that it puts in its place.
These routes are the page's own and change with it: programs have ``/api``.
"""

import functools
from collections.abc import Awaitable, Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from reidsearch.errors import NotCalibrated, ReidsearchError
from reidsearch.gallery import Gallery
from reidsearch.pictures import decoding
from reidsearch.search.answer import Answer
from reidsearch.search.inquiry import Inquiry
from reidsearch.search.probe import Probe, seconds
from reidsearch.service import problems
from reidsearch.service.asking import (
    Camera,
    OfDataset,
    OtherIds,
    PictureIds,
    Pictures,
    Since,
    Site,
    Time,
    Until,
    read,
)
from reidsearch.service.assets import ASSETS, PREFIX, STYLE
from reidsearch.service.parts import Searching, only, service_of
from reidsearch.service.problems import Problem
from reidsearch.service.vocabulary import PAGE
from reidsearch.views import fragments, pages

router = APIRouter(include_in_schema=False)

Rankings = Literal["", "expand", "spatio_temporal", "plain"]  # as the library calls them; the best

MOST = 640  # hits on one page
ASKED = (
    "image", "image_id", "not_id", "camera", "time", "site", "dataset", "since", "until", "ranking",
)  # fmt: skip
ANSWER = (*ASKED, "exclude_camera", "only_camera", "top_k", "by_stay")


@router.get("/")
async def index(request: Request) -> Response:
    """The page, without anything of what is stored."""
    most = service_of(request).guards.most_bytes
    return HTMLResponse(fragments.shell(most_bytes=most, frame_pixels=decoding.FRAME_PIXELS))


@router.get(PREFIX + STYLE)
async def style() -> Response:
    """The style sheet that the page shares with reports, sheets and traces."""
    return Response(_style(), media_type="text/css")


@router.get(PREFIX + "filters")
async def filters(asking: Searching) -> Response:
    """What can be asked for; or why nothing can be."""

    def draw() -> str:
        gallery = asking.gallery
        gallery.ready()
        return fragments.filters(
            gallery.cameras(),
            gallery.status(),
            learned=_learned(gallery),
            zone=gallery.config.timezone,
        )

    return await _response(asking.run(draw))


@router.post(PREFIX + "answer", dependencies=[Depends(only(*ANSWER, hint=problems.ADDRESS))])
async def answer(
    asking: Searching,
    image: Pictures = None,
    image_id: PictureIds = None,
    unlike_id: OtherIds = None,
    camera: Camera = None,
    time: Time = None,
    site: Site = None,
    dataset: OfDataset = None,
    since: Since = None,
    until: Until = None,
    ranking: Annotated[Rankings, Form()] = "",
    exclude_camera: Annotated[bool, Form()] = False,
    only_camera: Annotated[list[str] | None, Form()] = None,
    top_k: Annotated[int, Form(ge=1, le=MOST)] = 20,
    by_stay: Annotated[bool, Form()] = False,
) -> Response:
    """The hits for pictures of one person."""
    sent = await read(image)

    def ask() -> Inquiry:
        gallery = asking.gallery
        return gallery.inquiry(
            _asked(gallery, sent, image_id or (), camera=camera, time=time),
            unlike=[gallery.stored(id) for id in unlike_id or ()],
            exclude_camera=exclude_camera,
            only_cameras=only_camera or (),
            site=site or None,
            dataset=dataset or None,
            since=since or None,
            until=until or None,
            expand=ranking == "expand",
            spatio_temporal=ranking == "spatio_temporal",
            plain=ranking == "plain",
            top_k=top_k,
            by_stay=by_stay,
        )

    def draw(found: Answer) -> str:
        same = frozenset(image_id or ())
        more = min(2 * top_k, MOST) if len(found.hits) == top_k < MOST else None
        return fragments.answer(found, look=asking.gallery.pictures, same=same, more=more)

    return await _response(asking.drawn(ask, draw))


@router.post(PREFIX + "trace", dependencies=[Depends(only(*ASKED, hint=problems.ADDRESS))])
async def trace(
    asking: Searching,
    image: Pictures = None,
    image_id: PictureIds = None,
    unlike_id: OtherIds = None,
    camera: Camera = None,
    time: Time = None,
    site: Site = None,
    dataset: OfDataset = None,
    since: Since = None,
    until: Until = None,
    ranking: Annotated[Rankings, Form()] = "",
) -> Response:
    """The stays of the person in these pictures."""
    sent = await read(image)

    def draw() -> str:
        gallery = asking.gallery
        found = gallery.trace(
            _asked(gallery, sent, image_id or (), camera=camera, time=time),
            unlike=[gallery.stored(id) for id in unlike_id or ()],
            site=site or None,
            dataset=dataset or None,
            since=since or None,
            until=until or None,
            expand=ranking == "expand",
            spatio_temporal=ranking == "spatio_temporal",
            plain=ranking == "plain",
        )
        same = frozenset(image_id or ())
        return fragments.trace(found, look=gallery.pictures, same=same, vocabulary=PAGE)

    return await _response(asking.run(draw))


@router.get(PREFIX + "{name}")
async def asset(name: str) -> Response:
    """One of the page's files."""
    found = ASSETS.get(name)
    if found is None:
        raise Problem(404, "the page has no such file")
    return Response(found.data, media_type=found.kind)


@functools.cache
def _style() -> str:
    return pages.stylesheet()


def _learned(gallery: Gallery) -> list[str]:
    """Which rankings a gallery has learned, by their fields."""
    try:
        known = gallery.calibration()
    except NotCalibrated:
        return []
    there = {"expand": known.expanded is not None, "spatio_temporal": bool(known.transit.pairs)}
    return [name for name, is_there in there.items() if is_there]


def _asked(
    gallery: Gallery,
    sent: Sequence[tuple[bytes, str]],
    ids: Sequence[int],
    *,
    camera: str | None,
    time: str | None,
) -> list[Probe]:
    """What was sent, of which camera and time are told, and what is stored, of which they are
    known."""
    moment = seconds(time, gallery.config.timezone) if time else None
    mine = [Probe.of(data, name=name, camera=camera or None, time=moment) for data, name in sent]
    return [*mine, *(gallery.stored(id) for id in ids)]


async def _response(drawn: Awaitable[str]) -> Response:
    """What is drawn of the gallery, or a problem in the page's words."""
    try:
        return HTMLResponse(await drawn)
    except ReidsearchError as error:
        return problems.of_library(error, PAGE)
