"""The answer to one question."""

from typing import TYPE_CHECKING, NotRequired

from reidsearch.documents.hits import HitDocument, StayDocument, hit_document, stay_document
from reidsearch.documents.questions import AskedDocument, PicturesDocument, other_pictures

if TYPE_CHECKING:
    from reidsearch.search.answer import Answer


class AnswerDocument(PicturesDocument):
    """The hits for one question. ``query``, ``camera``, ``identity`` and ``site`` are of its first
    picture, ``more`` tells the same of all others, where there are some; ``warnings`` say what may
    be wrong with any. By stay, ``hits`` are the best of each of ``stays``, whose times are in
    ``unit``: frames or seconds, None where no time is known. ``scan`` is exact, or quantised where
    smaller copies of vectors were compared first; ``reranked_among`` how many of the nearest were
    re-ranked, None where all were, or none."""

    query: str
    camera: int | str | None
    identity: int | str | None
    site: str | None
    hits: list[HitDocument]
    warnings: list[str]
    expanded: bool
    spatio_temporal: bool
    reranked: bool
    reranked_among: int | None
    uses: list[str]
    scan: str
    more: NotRequired[list[AskedDocument]]
    unit: NotRequired[str | None]
    stays: NotRequired[list[StayDocument]]


def answer_document(given: "Answer") -> AnswerDocument:
    document: AnswerDocument = {
        "query": given.query,
        "camera": given.camera,
        "identity": given.identity,
        "site": given.site,
        "together": [one.query for one in given.together],
        "not": [one.query for one in given.unlike],
        "hits": [hit_document(one, given.zone) for one in given.hits],
        "warnings": list(given.warnings),
        "expanded": given.ranking.is_expanded,
        "spatio_temporal": given.ranking.spatio_temporal,
        "reranked": given.ranking.reranked,
        "reranked_among": given.ranking.candidates,
        "uses": list(given.ranking.uses),
        "scan": str(given.scan),
    }
    if more := other_pictures(given):
        document["more"] = more
    if given.stays is not None:
        document["unit"] = given.unit
        document["stays"] = [stay_document(one, given.zone) for one in given.stays]
    return document
