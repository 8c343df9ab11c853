"""What an ingest did."""

from collections import Counter
from dataclasses import dataclass, field

from reidsearch.documents.ingests import IngestDocument, ingest_document
from reidsearch.ingest.contents import Contents
from reidsearch.types import Rejected


@dataclass
class IngestSummary:
    """What an ingest did, or has done so far. ``images_per_second`` counts the ingested ones alone.

    Of the ``ingested`` ones ``changed`` were stored before, and their files have changed.
    ``moved`` images were renamed and kept their vector, and so did ``relabelled`` ones, of which
    the data set says something else now. ``vanished`` are the paths of stored images that the data
    set no longer has; ``expired`` counts those too old to be taken in, ``pruned`` stored ones that
    were removed afterwards, ``left`` what another process is still taking in, ``outdated`` other
    encoders' vectors of what files held before. ``encoded`` counts
    what has a vector by now, also where that is not stored yet. ``calibrated`` is the number of
    images that transit times and thresholds were learned anew from, None where they were not,
    ``expanded`` that of the expanded vectors that were written. ``contents`` is what the data set
    says of its crops, ``notes`` what else people should know. Of what was decoded,
    ``unlike_crops`` were hardly crops of one person, ``unlike_crop`` for one, and ``scaled`` counts
    those of more than 8 bits whose range was guessed, by what it was taken for.
    """

    found: int
    splits: dict[str, int]
    contents: Contents
    notes: list[str] = field(default_factory=list)
    failures: list[Rejected] = field(default_factory=list)
    ingested: int = 0
    encoded: int = 0
    changed: int = 0
    unchanged: int = 0
    moved: int = 0
    relabelled: int = 0
    expired: int = 0
    pruned: int = 0
    left: int = 0
    outdated: int = 0
    vanished: list[str] = field(default_factory=list)
    calibrated: int | None = None
    expanded: int = 0
    unlike_crops: int = 0
    unlike_crop: str | None = None
    scaled: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def done(self) -> int:
        """The images that need no more work."""
        return self.seen - self.encoded + self.ingested

    @property
    def seen(self) -> int:
        """The images that need no more work than to be stored."""
        kept = self.unchanged + self.moved + self.relabelled
        return self.encoded + kept + self.expired + len(self.failures)

    @property
    def images_per_second(self) -> float:
        return self.ingested / self.seconds if self.seconds else 0.0

    def document(self) -> IngestDocument:
        """As a JSON document."""
        return ingest_document(self)
