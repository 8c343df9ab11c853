"""What a gallery's first trace learns from it unasked, or why it learns nothing."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from reidsearch.catalog import State
from reidsearch.documents.traces import NotLearnedDocument, not_learned_document
from reidsearch.errors import PYTHON, EmptyGallery, StoreError, UsageError, filled
from reidsearch.learning import calibrate, expand
from reidsearch.ranking.clock import Span
from reidsearch.ranking.scores import CROWD_FROM
from reidsearch.search import places
from reidsearch.search.places import Scope
from reidsearch.session import Session
from reidsearch.types import UNKNOWN, Split
from reidsearch.vectors.collection import Collection
from reidsearch.words import counted

log = logging.getLogger(__name__)

# Galleries of so many images are calibrated by their first trace: fewer would tell too little,
# more would keep people waiting for minutes.
LEARNED_AT_ONCE = range(CROWD_FROM, 30_001)


class Unlearned(StrEnum):
    """Why nothing was learned from a gallery."""

    CAMERAS = "cameras"  # its images are not known to be of several
    TIMES = "times"  # none of its images has one
    FEW = "few"  # images, of those with both
    MANY = "many"
    ALIKE = "alike"  # it was learned from, which tells nobody from anybody
    READ_ONLY = "read-only"
    FAILED = "failed"

    @property
    def hint(self) -> str:
        """What would help, with names in braces as in an error's hint; may be empty."""
        return _HINTS.get(self, "")


_LABELLED = "Where its people are known, learn from them with: {calibrate_gallery}"
_HINTS: Mapping[Unlearned, str] = {
    Unlearned.TIMES: _LABELLED,
    Unlearned.FEW: _LABELLED,
    Unlearned.ALIKE: _LABELLED,
    Unlearned.MANY: "Learn from it, which takes minutes, with: {calibrate}",
    Unlearned.FAILED: "Try it again with: {calibrate}",
}


@dataclass(frozen=True)
class NotLearned:
    """That nothing was learned from a gallery, for that ``reason``; the ``message`` says it in a
    few words, to follow on *learned*."""

    reason: Unlearned
    message: str

    @property
    def hint(self) -> str:
        """What would help, for whoever calls from Python; may be empty."""
        return self.hint_in(PYTHON)

    def hint_in(self, vocabulary: Mapping[str, str]) -> str:
        """The same in a door's words."""
        return filled(self.reason.hint, vocabulary)

    def document(self) -> NotLearnedDocument:
        """As a JSON document."""
        return not_learned_document(self)


def learn(
    session: Session, collection: Collection, *, sizes: range = LEARNED_AT_ONCE
) -> tuple[int | None, NotLearned | None]:
    """Calibrate a gallery that nobody has calibrated, where that can tell people apart and it has
    so many images: from how many, None where that was not done now; and why nothing is known of it
    by which to tell people apart, None where something is."""
    if (known := calibrate.known(collection)) is not None:
        return None, None if known.tells_apart else _ALIKE
    spans = collection.catalog.images.spans(collection.encoder_id, Split.GALLERY)
    images = gallery_size(collection, places.scope(collection.catalog))
    refused = _unsuited(spans, images, sizes)
    if refused is None and session.read_only:
        refused = NotLearned(
            Unlearned.READ_ONLY, "nothing from this gallery: it can only be read, not written to"
        )
    if refused is not None:
        return None, refused
    log.info("Nobody has calibrated this gallery. Learning from it, which is done once ...")
    try:
        with session.changing():
            learned = expand.learn(collection)
    except (EmptyGallery, StoreError, UsageError) as error:
        return None, NotLearned(Unlearned.FAILED, f"nothing from this gallery: {error.message}")
    return learned.images, None if learned.tells_apart else _ALIKE


def gallery_size(collection: Collection, scope: Scope) -> int:
    """How many gallery images there are."""
    datasets = [one.id for one in scope.datasets]
    return collection.catalog.embeddings.count(
        collection.encoder_id, State.INDEXED, [Split.GALLERY], datasets=datasets
    )


_ALIKE = NotLearned(
    Unlearned.ALIKE,
    "no thresholds of this gallery's own: too few pairs of its crops have times that one person "
    "hardly has",
)


def _unsuited(spans: Sequence[Span], images: int, sizes: range) -> NotLearned | None:
    """Why a gallery of so many images is not to be learned from unasked; None where it is."""
    timed = [span for span in spans if max(span.timed, span.framed)]
    usable = [span for span in timed if span.camera != UNKNOWN]
    both = sum(max(span.timed, span.framed) for span in usable)
    cameras = {span.camera for span in spans} - {UNKNOWN}
    crops = counted(images, "crop")
    if images >= sizes.stop:
        what = f"it has {crops}, and that takes long with more than {sizes.stop - 1:,}"
        return NotLearned(Unlearned.MANY, f"nothing from this gallery: {what}")
    if len(cameras) < 2:
        of = "one camera" if cameras else "a camera that is known"
        what = f"its {crops} are all of {of}" if cameras else f"none of its {crops} is of {of}"
        return NotLearned(Unlearned.CAMERAS, f"nothing from this gallery: {what}")
    if not timed:
        what = f"none of its {crops} has a time"
        return NotLearned(Unlearned.TIMES, f"nothing from this gallery: {what}")
    if both < sizes.start or len({span.camera for span in usable}) < 2:
        what = f"{counted(both, 'crop has', 'crops have')} a camera and a time"
        return NotLearned(
            Unlearned.FEW, f"nothing from this gallery: {what}, and that takes {sizes.start:,}"
        )
    return None
