"""How to rank, as a wish has it and the gallery allows."""

from contextlib import suppress
from dataclasses import replace

from reidsearch.catalog import State
from reidsearch.errors import NotCalibrated, UsageError
from reidsearch.learning import calibrate, expand
from reidsearch.ranking.cells import Pairing
from reidsearch.ranking.ranking import Expanded, Ranking, Sighted
from reidsearch.search.inquiry import Wish
from reidsearch.search.places import Scope
from reidsearch.search.question import Question
from reidsearch.types import Split
from reidsearch.vectors.collection import Collection

# Where all images are too many to be re-ranked, so many of the nearest are, or a few more than are
# asked for (benchmarks/candidates.py).
CANDIDATES = 2_000


def ranking_for(
    collection: Collection, question: Question, scope: Scope, wish: Wish, split: Split
) -> tuple[Ranking, Sighted | None]:
    """How to rank, and where and when the question's pictures were taken, where that counts. Raises
    as ``query`` does."""
    return for_question(of_gallery(collection, wish, split), question, scope, wish)


def of_gallery(collection: Collection, wish: Wish, split: Split) -> Ranking:
    """How to rank, as far as the gallery is concerned. Raises NotCalibrated where what is wished
    for was not learned."""
    expanded = Expanded.NOT
    if split is Split.GALLERY and wish.expand is not False:
        expanded = expand.stored_kind(collection)
    if wish.expand and expanded is Expanded.NOT:
        raise NotCalibrated(
            "there are no expanded vectors of what is stored now"
            if split is Split.GALLERY
            else f"only gallery images have expanded vectors, not the {split} split",
            hint="Make them with: {calibrate}, or leave out {expand}.",
        )
    if wish.spatio_temporal is None:
        with suppress(NotCalibrated, UsageError):  # nothing is known of times
            return calibrate.ranking(
                collection, spatio_temporal=True, rerank=False, expanded=expanded
            )
        return Ranking(expanded=expanded)
    ranking = calibrate.ranking(
        collection,
        spatio_temporal=wish.spatio_temporal,
        rerank=wish.rerank,
        expanded=expanded,
    )
    if not ranking.reranked or _pairing(collection, split) is Pairing.ALL:
        return ranking
    return replace(ranking, candidates=CANDIDATES)


def _pairing(collection: Collection, split: Split) -> Pairing:
    """Whether neighbours are looked for among all images of a split."""
    datasets = [one.id for one in collection.catalog.places.datasets()]
    return Pairing.of(
        collection.catalog.embeddings.count(
            collection.encoder_id, State.INDEXED, [split], datasets=datasets
        )
    )


def for_question(
    ranking: Ranking, question: Question, scope: Scope, wish: Wish
) -> tuple[Ranking, Sighted | None]:
    """That for a question, with where and when its pictures were taken; without times, where these
    are not wished for and nothing is known of the pictures'. Raises as ``Question.sighted``."""
    if ranking.calibration is None:
        return ranking, None
    try:
        return ranking, question.sighted(ranking.calibration, scope)
    except UsageError:
        if wish.spatio_temporal is None:
            return Ranking(expanded=ranking.expanded), None
        raise
