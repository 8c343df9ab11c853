"""What the catalog hands out, and what it is handed: frozen, and nothing of SQLAlchemy's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from reidsearch.types import Sighting, Split


class State(StrEnum):
    """Where an image's embedding stands."""

    PENDING = "pending"
    INDEXED = "indexed"
    FAILED = "failed"
    DELETING = "deleting"  # shown no more; vector and row are to go


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """Where a catalog is: its database's ``address``, without secrets, and ``home``, which tells it
    from a copy."""

    address: str
    home: str


class Part(StrEnum):
    """What of a gallery can be moved, each by itself."""

    VECTORS = "vectors"
    CATALOG = "catalog"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Left:
    """A place, by its address, that a part of the gallery was moved from, and that still holds what
    it held then."""

    part: Part
    address: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sighting about to be ingested, with its file's size (bytes) and time of change."""

    id: int
    sighting: Sighting
    size: int | None
    modified_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A candidate as the catalog has recorded it, with the id of its camera (None: not known).

    ``encoded`` says that its vector is stored and its file is the same: only what the data set says
    of it has changed; ``changed`` that its vector is stored, and its file is another by now. One
    that is not ``claimed`` is left alone: another process, which lives, takes it in.
    """

    candidate: Candidate
    camera_id: int | None
    encoded: bool
    changed: bool = False
    claimed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraRecord:
    """A camera, and where it is."""

    id: int
    name: str
    site: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRecord:
    """A data set, the folder it was read from, and where its cameras and people are; ``machine`` is
    the one on whose disk that folder is, None where the catalog is one machine's."""

    id: int
    name: str
    root: str
    site: str
    machine: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """An image, with the names of what it belongs to; None means "not known".

    ``camera`` and ``identity`` are names at the ``site``; ``camera_id`` and ``identity_id`` tell
    those of several sites apart. ``path`` is relative to ``root``, a folder on
    the disk of ``machine`` (None where the catalog is one machine's).
    ``timestamp``, and ``added`` as the time of the first ingest, are in seconds since 1970 UTC;
    ``size`` (bytes), ``modified_ns`` and ``sha256`` are the file's when it was last encoded.
    """

    id: int
    dataset_id: int
    dataset: str
    root: str
    machine: str | None
    site: str
    split: Split
    path: str
    camera_id: int | None
    camera: str | None
    identity_id: int | None
    identity: str | None
    sequence: int | None
    frame: int | None
    timestamp: float | None
    size: int | None
    modified_ns: int | None
    sha256: str | None
    added: float | None

    @property
    def file(self) -> Path:
        """Where the image's file is, or was."""
        return Path(self.root) / self.path

    @property
    def sighting(self) -> Sighting:
        """What the data set said of the image."""
        return Sighting(
            path=self.path,
            split=self.split,
            camera=self.camera,
            identity=self.identity,
            sequence=self.sequence,
            frame=self.frame,
            timestamp=self.timestamp,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRecord:
    """Where one image stands with one encoder. ``reason`` is why it failed; ``checksum`` is of the
    vector as stored (see ``hashes.checksums``), None where none is or it is not known."""

    image_id: int
    state: State
    reason: str | None
    checksum: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderRecord:
    """An encoder, the length of its vectors, how many images are indexed with it, and of which form
    the payloads beside them are."""

    id: int
    fingerprint: str
    name: str
    dimension: int
    indexed: int
    payloads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCount:
    """How many images of a data set's split stand in one state with one encoder, which is given by
    its fingerprint."""

    dataset: str
    root: str
    split: Split
    encoder: str
    state: State
    images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestRun:
    """An ingest of a data set (its name) with an encoder (its fingerprint). Times are in seconds
    since 1970 UTC. ``finished`` is None while it runs, and where it was cut short; the counts are
    None until all images are recorded, and 0 until it ends."""

    id: int
    dataset: str
    encoder: str
    started: float
    finished: float | None
    ingested: int | None
    unchanged: int | None
    failed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRecord:
    """What was learned with one encoder, at ``learned`` (seconds since 1970 UTC), from ``images``
    images of that source; ``transit``, ``cosines`` and ``scores`` are models in bytes. ``pairing``
    says among whom matches were looked for, None with known people; of ``sample`` images scores
    were counted, None where an earlier version did it."""

    learned: float
    source: str
    images: int
    transit: bytes
    weight: float
    cosines: bytes
    scores: bytes
    pairing: str | None
    sample: int | None


class Role(StrEnum):
    """What a picture beside the first one says of the person that is searched for."""

    TOGETHER = "together"  # shows them, too
    UNLIKE = "not"  # shows somebody else


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedPicture:
    """A picture beside the first one that a search was made with: its file's SHA-256, and its bytes
    where they are to be kept."""

    role: Role
    sha256: str
    picture: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSearch:
    """A search to be logged, with the probe's file as ``picture`` where that is to be kept, and the
    ``others`` that it was made with. ``filters`` are what JSON can hold."""

    time: float
    operator: str
    command: str
    probe_sha256: str
    filters: Mapping[str, object]
    hits: int
    picture: bytes | None
    others: Sequence[LoggedPicture] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpansionRecord:
    """The expanded vectors of one encoder: the ``form`` they have, whether they are ``current``,
    and their ``generation``, which is another whenever that was in question. ``cosines`` and
    ``scores`` are models in bytes, None where nothing tells what scores with them mean; so are the
    camera ``means`` that they were made with, None where an earlier version made them, and the
    ``cells`` in which neighbours were looked for, None where among all."""

    form: str
    current: bool
    generation: int
    cosines: bytes | None
    scores: bytes | None
    means: bytes | None
    cells: bytes | None

    @property
    def kind(self) -> str:
        """How neighbours were chosen."""
        return self.form.split()[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpandedPart:
    """Some of the images whose expanded vectors were made: in bytes what is known of them
    (``images``), and rough ``copies`` of their plain vectors, None where these stay as they are."""

    part: int
    images: bytes
    copies: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedSearch:
    """One search: when (seconds since 1970 UTC), by whom, with what, and how many hits it had.
    ``together`` and ``unlike`` are the SHA-256 of the pictures beside the first one; those that
    were forgotten are empty. ``has_picture`` says whether any picture is kept."""

    time: float
    operator: str
    command: str
    probe_sha256: str
    filters: dict[str, object]
    hits: int
    together: tuple[str, ...]
    unlike: tuple[str, ...]
    has_picture: bool
