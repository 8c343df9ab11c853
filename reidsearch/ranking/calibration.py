"""What a gallery has learned of times and scores: data, with its provenance."""

from dataclasses import dataclass
from enum import StrEnum

from reidsearch.documents.calibrations import CalibrationDocument, calibration_document
from reidsearch.ranking.cells import Pairing
from reidsearch.ranking.scores import ScoreDistribution
from reidsearch.ranking.transit import Transit

SCORES = {  # the kinds of score, in words
    "cosine": "cosine",
    "spatio_temporal": "with times",
    "expanded": "expanded",
    "expanded_spatio_temporal": "expanded, with times",
}


class Source(StrEnum):
    """Where the pairs of images of one person come from."""

    TRAIN = "train"  # identities of the training split
    GALLERY = "gallery"  # identities of the gallery
    MATCHES = "matches"  # no identities: the gallery's own matches across cameras


@dataclass(frozen=True)
class Calibration:
    """What was learned, and its provenance: from ``source``, over ``images`` images, at ``learned``
    (seconds since 1970 UTC). A ratio of ``transit`` times ``weight`` adds to a cosine; ``cosines``
    and ``scores``, the latter with transit times, are what then comes up between images.
    ``expanded`` are the same two of expanded vectors, where there are some. ``by_identity`` tells
    whether all these know people apart. ``pairing`` says among whom matches were looked for, None
    with known people; of ``sample`` images the scores with all were counted, None where an earlier
    version did it."""

    transit: Transit
    weight: float
    source: Source
    images: int
    learned: float
    cosines: ScoreDistribution
    scores: ScoreDistribution
    expanded: tuple[ScoreDistribution, ScoreDistribution] | None = None
    pairing: Pairing | None = None
    sample: int | None = None

    @property
    def distributions(self) -> dict[str, ScoreDistribution]:
        """All of them, by kind of score."""
        found = {"cosine": self.cosines, "spatio_temporal": self.scores}
        if self.expanded is not None:
            alone, with_times = self.expanded
            found |= {"expanded": alone, "expanded_spatio_temporal": with_times}
        return found

    @property
    def by_identity(self) -> bool:
        return self.source is Source.GALLERY

    @property
    def by_times(self) -> bool:
        """Whether different people were told by the times between their images."""
        return self.cosines.by_times

    @property
    def tells_apart(self) -> bool:
        """Whether it is known of enough pairs that they are different people's, so that thresholds
        are no stricter than they need be."""
        return self.by_identity or self.by_times

    def document(self) -> CalibrationDocument:
        """As a JSON document."""
        return calibration_document(self)
