"""A question's vector with its nearest images in it, as expanded vectors carry theirs."""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from reidsearch.errors import UnknownCamera
from reidsearch.learning import expand
from reidsearch.ranking import expansion, feedback
from reidsearch.ranking.camera_means import CameraMeans
from reidsearch.ranking.expansion import Neighbours
from reidsearch.ranking.ranking import Expanded, Ranking, Sighted
from reidsearch.search import places
from reidsearch.search.find import Scored, Sought, find
from reidsearch.search.places import Scope
from reidsearch.search.question import Question
from reidsearch.types import UNKNOWN, Filter, Kind, Split, Vectors
from reidsearch.vectors.collection import Collection


def looked_again(
    vector: Vectors,
    question: Question,
    collection: Collection,
    ranking: Ranking,
    seen: Sighted | None,
) -> Vectors:
    """The question's vector (1 x D), less what its cameras add, with its nearest gallery images in
    it, of its own site and of other cameras than its pictures'. Times help to choose them where the
    stored vectors were made so, and where ``seen`` is known."""
    everywhere, means = places.scope(collection.catalog), expand.means(collection)
    sought = neighbours_sought(vector, question, everywhere, means, ranking, seen)
    return carrying(sought, find(collection, sought), collection)


def neighbours_sought(
    vector: Vectors,
    question: Question,
    everywhere: Scope,
    means: CameraMeans,
    ranking: Ranking,
    seen: Sighted | None,
    *,
    exact: bool = False,
) -> Sought:
    """The images that a question's vector is to carry."""
    site = everywhere.site_of(question.probes[0])
    cameras = np.full(len(question.probes), UNKNOWN)
    for at, one in enumerate(question.probes):
        with suppress(UnknownCamera):
            if one.seen.camera is not None:
                cameras[at] = everywhere.camera(one.seen.camera, site=everywhere.site_of(one)).id
    vector = feedback.pooled(means.adapted(np.repeat(vector, len(cameras), axis=0), cameras))[None]
    by_times = ranking.expanded is Expanded.TIMES and seen is not None
    return Sought(
        vector=vector,
        where=Filter(
            split=Split.GALLERY,
            without_cameras=tuple(np.unique(cameras[cameras != UNKNOWN]).tolist()),
            datasets=tuple(one.id for one in everywhere.datasets if site in (None, one.site)),
        ),
        ranking=Ranking(ranking.calibration if by_times else None),
        kind=Kind.EXPANDED,
        top_k=expand.SETTINGS.probe,
        seen=seen if by_times else None,
        exact=exact,
    )


def carrying(sought: Sought, found: Sequence[Scored], collection: Collection) -> Vectors:
    """The vector that was searched with, with what was found in it."""
    if not found:
        return sought.vector
    ids, vectors = collection.store.retrieve([one.image.id for one in found], kind=Kind.EXPANDED)
    place = {id: at for at, id in enumerate(ids.tolist())}
    known = [one for one in found if one.image.id in place]  # or it is being deleted
    carried = Neighbours(
        np.array([[place[one.image.id] for one in known]], dtype=np.int64),
        np.array([[one.score for one in known]], dtype=np.float32),
    )
    return expansion.carrying(sought.vector, carried, vectors, expand.SETTINGS)
