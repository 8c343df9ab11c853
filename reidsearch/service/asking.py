"""Who is this, and where was this person: ``/api/query``, ``/api/trace``, similar images."""

import itertools
import math
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Path, Query, UploadFile

from reidsearch import names
from reidsearch.documents.answers import AnswerDocument
from reidsearch.documents.traces import TraceDocument
from reidsearch.gallery import Gallery
from reidsearch.search.inquiry import Inquiry
from reidsearch.search.probe import UNNAMED, Probe
from reidsearch.search.trace import Trace
from reidsearch.service.parts import Searching, only
from reidsearch.service.problems import Problem
from reidsearch.service.replies import Document, described
from reidsearch.types import LARGEST, Split

router = APIRouter(prefix="/api", tags=["search"])

Id = Annotated[int, Path(ge=1, le=LARGEST, description="An image's id, as hits tell it.")]
Pictures = Annotated[
    list[UploadFile] | None,
    File(description="A picture of the person; several are one question, about one person."),
]
PictureIds = Annotated[
    list[Annotated[int, Form(ge=1, le=LARGEST)]] | None,
    Form(description="A stored image of the person, in place of a picture or beside it."),
]
Others = Annotated[
    list[UploadFile] | None,
    File(alias="not", description="A picture of somebody else, who is not meant."),
]
OtherIds = Annotated[
    list[Annotated[int, Form(ge=1, le=LARGEST)]] | None,
    Form(alias="not_id", description="A stored image of somebody else, who is not meant."),
]
Called = Annotated[str, Form(max_length=4096)]
Names = Annotated[
    list[Called] | None,
    Form(description="What answers call the pictures, in their order; else by their files' names."),
]
OtherNames = Annotated[
    list[Called] | None,
    Form(alias="not_name", description="What they call those of somebody else, in their order."),
]
Camera = Annotated[
    str | None, Form(description="The pictures' camera, where their names do not tell.")
]
Time = Annotated[
    str | None,
    Form(description="When they were taken: ISO 8601, or seconds since 1970."),
]
Site = Annotated[str | None, Form(description="Only images of this site's cameras.")]
OfDataset = Annotated[str | None, Form(description="Only images of this data set.")]
Since = Annotated[str | None, Form(description="Only what was taken at this time or later.")]
Until = Annotated[str | None, Form(description="Only what was taken before this time.")]
Number = Annotated[float, Form(allow_inf_nan=False)]

Expand = Annotated[bool, Form(description="Compare vectors that carry neighbours.")]
SpatioTemporal = Annotated[bool, Form(description="Add what times say.")]
Plain = Annotated[bool, Form(description="Cosines alone.")]

FILTERS = ("camera", "time", "name", "site", "dataset", "since", "until")
RANKING = ("expand", "spatio_temporal", "plain")
QUERY = (
    "image", "image_id", "not", "not_id", "not_name", "together", "exclude_camera", "only_camera",
    "split", "top_k", "min_score", "rerank", "exact", "by_stay", *RANKING, *FILTERS,
)  # fmt: skip
TRACE = (
    "image", "image_id", "not", "not_id", "not_name", "false_matches", "min_score", *RANKING,
    *FILTERS,
)  # fmt: skip
SIMILAR = ("exclude_camera", "top_k", "plain", "by_stay")


async def read(
    files: Sequence[UploadFile] | None, called: Sequence[str] | None = None
) -> list[tuple[bytes, str]]:
    """The bytes and the names of what was sent: those in ``called``, of the first few or of all. A
    file's own name travels with escapes that nobody undoes."""
    told = itertools.chain(called or (), itertools.repeat(None))
    return [
        (await one.read(), name or one.filename or UNNAMED)
        for one, name in zip(files or (), told, strict=False)
    ]


def probes(gallery: Gallery, sent: Sequence[tuple[bytes, str]], ids: Sequence[int]) -> list[Probe]:
    """What was sent, then what is stored, as probes."""
    return [
        *(Probe.of(data, name=name) for data, name in sent),
        *(gallery.stored(id) for id in ids),
    ]


@router.post(
    "/query",
    responses=described(AnswerDocument, "The hits, the nearest first."),
    response_class=Document,
    dependencies=[Depends(only(*QUERY))],
)
async def query(
    asking: Searching,
    image: Pictures = None,
    image_id: PictureIds = None,
    unlike: Others = None,
    unlike_id: OtherIds = None,
    unlike_name: OtherNames = None,
    together: Annotated[
        bool, Form(description="Several pictures show one person; nothing else can be asked.")
    ] = True,
    camera: Camera = None,
    time: Time = None,
    name: Names = None,
    exclude_camera: Annotated[bool, Form(description="Leave out the pictures' cameras.")] = False,
    only_camera: Annotated[
        list[str] | None, Form(description="Search these cameras alone; also as a,b.")
    ] = None,
    site: Site = None,
    dataset: OfDataset = None,
    since: Since = None,
    until: Until = None,
    split: Annotated[Split, Form(description="The part to search.")] = Split.GALLERY,
    top_k: Annotated[int, Form(ge=1, le=10_000, description="Hits, or stays.")] = 10,
    min_score: Annotated[
        Number | None, Form(description="Leave out hits with a smaller score.")
    ] = None,
    expand: Expand = False,
    spatio_temporal: SpatioTemporal = False,
    rerank: Annotated[bool, Form(description="Re-rank by k-reciprocal neighbours.")] = False,
    plain: Plain = False,
    exact: Annotated[bool, Form(description="Compare every stored vector.")] = False,
    by_stay: Annotated[bool, Form(description="One hit for each visit to a camera.")] = False,
) -> Document:
    """The stored images that show the person in a picture, as `reidsearch query --json` tells
    them. Without `expand`, `spatio_temporal`, `rerank` or `plain` the best is used that the gallery
    has learned."""
    mine, others = await read(image, name), await read(unlike, unlike_name)
    if not together and len(mine) + len(image_id or ()) > 1:
        raise Problem(422, "one request is one question", hint="Ask for one picture at a time.")

    def ask() -> Inquiry:
        gallery = asking.gallery
        return gallery.inquiry(
            probes(gallery, mine, image_id or ()),
            unlike=probes(gallery, others, unlike_id or ()),
            camera=camera or None,
            time=time or None,
            exclude_camera=exclude_camera,
            only_cameras=names.listed(only_camera or ()),
            site=site,
            dataset=dataset,
            since=since or None,
            until=until or None,
            split=split,
            top_k=top_k,
            min_score=-math.inf if min_score is None else min_score,
            expand=expand,
            spatio_temporal=spatio_temporal,
            rerank=rerank,
            plain=plain,
            exact=exact,
            by_stay=by_stay,
        )

    return Document((await asking.answer(ask)).document())


@router.post(
    "/trace",
    responses=described(TraceDocument, "Stays at cameras, in time order."),
    response_class=Document,
    dependencies=[Depends(only(*TRACE))],
)
async def trace(
    asking: Searching,
    image: Pictures = None,
    image_id: PictureIds = None,
    unlike: Others = None,
    unlike_id: OtherIds = None,
    unlike_name: OtherNames = None,
    camera: Camera = None,
    time: Time = None,
    name: Names = None,
    site: Site = None,
    dataset: OfDataset = None,
    since: Since = None,
    until: Until = None,
    false_matches: Annotated[
        Number | None,
        Form(ge=1e-6, le=0.5, description="The share of strangers' pairs that may score so high."),
    ] = None,
    min_score: Annotated[Number | None, Form(description="Take scores from here on.")] = None,
    expand: Expand = False,
    spatio_temporal: SpatioTemporal = False,
    plain: Plain = False,
) -> Document:
    """Where the person in a picture was, as `reidsearch trace --json` tells it."""
    mine, others = await read(image, name), await read(unlike, unlike_name)

    def ask() -> Trace:
        gallery = asking.gallery
        return gallery.trace(
            probes(gallery, mine, image_id or ()),
            unlike=probes(gallery, others, unlike_id or ()),
            camera=camera or None,
            time=time or None,
            site=site,
            dataset=dataset,
            since=since or None,
            until=until or None,
            false_matches=false_matches,
            min_score=min_score,
            expand=expand,
            spatio_temporal=spatio_temporal,
            plain=plain,
        )

    return Document((await asking.run(ask)).document())


@router.get(
    "/images/{id}/similar",
    responses=described(AnswerDocument, "The hits, the nearest first."),
    response_class=Document,
    dependencies=[Depends(only(*SIMILAR))],
)
async def similar(
    asking: Searching,
    id: Id,
    exclude_camera: Annotated[bool, Query(description="Leave out the image's camera.")] = False,
    top_k: Annotated[int, Query(ge=1, le=10_000, description="Hits, or stays.")] = 10,
    plain: Annotated[bool, Query(description="Cosines alone.")] = False,
    by_stay: Annotated[bool, Query(description="One hit for each visit to a camera.")] = False,
) -> Document:
    """The stored images that show the person in a stored image, which is among them."""

    def ask() -> Inquiry:
        gallery = asking.gallery
        return gallery.inquiry(
            gallery.stored(id),
            exclude_camera=exclude_camera,
            top_k=top_k,
            plain=plain,
            by_stay=by_stay,
        )

    return Document((await asking.answer(ask)).document())
