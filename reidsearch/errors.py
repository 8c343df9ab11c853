"""Every error reidsearch raises on purpose, with its exit code.

ReidsearchError                 1   something failed
├── UsageError                  2   the request cannot be carried out as written
│   ├── DatasetError            2   the path holds no data set that can be read
│   ├── UnknownCamera           2   a camera is needed and none is known
│   └── UnknownImage            2   no stored image has that id
├── ImageError                  1   one file is not a readable picture
├── EncoderError                1   a model file cannot be used
│   └── EncoderMismatch         1   the gallery was made with another encoder
├── CatalogError                1   the catalog cannot be used
│   ├── NewerSchema             1   it was written by a newer reidsearch
│   ├── CatalogMoved            1   the gallery's catalog is elsewhere by now
│   ├── CatalogLocked           4   another process writes it
│   └── CatalogUnreachable      4   the server that it is on does not answer
├── EmptyGallery                1   nothing is stored to search or evaluate
├── IncompleteGallery           1   an ingest has not ended
├── NotCalibrated               1   transit times are needed and not learned
├── BackupError                 1   a backup cannot be written, or is none
├── GalleryClosed               1   the gallery was closed and is used again
└── StoreError                  4   the vector store failed
    ├── StoreLocked             4   another process holds it
    ├── StoreUnreachable        4   the server does not answer
    ├── StoreElsewhere          1   the vectors are kept in another store than the one given
    └── CopiedGallery           1   the data dir is a copy of a gallery that shares its server

A message says what happened and why; the hint says what to try. A hint names parameters, settings
and verbs in braces, ``Give {camera}.``, and each door puts in its own words for them.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Self

_TRUE = ("exclude_camera", "expand", "spatio_temporal", "rerank", "plain", "prune", "follow_links")
_VALUES = (
    "camera", "only_cameras", "time", "split", "top_k", "min_score", "false_matches", "name",
    "unlike", "identity", "images", "before", "since", "until",
    "dataset", "site", "data_dir", "server", "token_file", "qdrant_url", "catalog_url", "encoder",
    "device",
    "out", "save", "report", "compare", "source", "layout", "pattern", "root", "to",
)  # fmt: skip
_VERBS = (
    "ingest", "query", "trace", "evaluate", "calibrate", "export", "status", "doctor", "forget",
    "audit", "claim",
)  # fmt: skip
PYTHON: Mapping[str, str] = (
    {name: f"`{name}=True`" for name in _TRUE}
    | {name: f"`{name}=...`" for name in _VALUES}
    | {verb: f"`gallery.{verb}()`" for verb in _VERBS}
    | {
        "ingest": "`gallery.ingest(folder)`",
        "query_path": "`gallery.query({path})`",
        "doctor_fix": "`gallery.doctor(fix=True)`",
        "calibrate_matches": '`gallery.calibrate(source="matches")`',
        "calibrate_gallery": '`gallery.calibrate(source="gallery")`',
        "split_train": '`split="train"`',
        "claim_copy": "`gallery.claim(copy=True)`",
        "of_camera": "`camera=...`",
        "encoder_file": '`encoder="file.onnx"`',
        "prune_all": '`prune="all"`',
        "same_call": "the same call",
    }
)
"""What hints say in braces, in the words of whoever calls from Python."""


class ReidsearchError(Exception):
    """Base of all errors; ``exit_code`` is what the command line ends with.

    ``hint`` may hold names in braces. Those of ``values`` stand for a text that is known only here,
    a path for one, and are put in as they are; the others are words of a door's vocabulary.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", **values: str) -> None:
        super().__init__(message)
        self.message = message
        self._hint = hint
        self._values = values

    @property
    def hint(self) -> str:
        """What to try, for whoever calls from Python."""
        return self.hint_in(PYTHON)

    @property
    def unfilled(self) -> tuple[str, Mapping[str, str]]:
        """The hint with its names in braces, and ``values``: what another process needs to tell of
        the error in the words of its own door."""
        return self._hint, self._values

    @classmethod
    def like(cls, message: str, *, hint: str, values: Mapping[str, str]) -> Self:
        """The error again, as another process was told of it."""
        error = cls(message, hint=hint)
        error._values = dict(values)
        return error

    def hint_in(self, vocabulary: Mapping[str, str]) -> str:
        """What to try, in a door's words; names that are not in them stay as they are."""
        # Values come last, and once: what they hold in braces is somebody's text.
        return filled(filled(self._hint, vocabulary), self._values)


def of_kind(name: str) -> type[ReidsearchError]:
    """The class of that name; ReidsearchError where there is none, as of another version."""
    return {one.__name__: one for one in _kinds(ReidsearchError)}.get(name, ReidsearchError)


def _kinds(base: type[ReidsearchError]) -> Iterator[type[ReidsearchError]]:
    yield base
    for one in base.__subclasses__():
        yield from _kinds(one)


def filled(text: str, words: Mapping[str, str]) -> str:
    """A text with these words in place of their names in braces; others stay as they are."""
    return re.sub(r"\{([a-z_]+)\}", lambda found: words.get(found[1], found[0]), text)


class UsageError(ReidsearchError):
    """The request cannot be carried out as written."""

    exit_code = 2


class DatasetError(UsageError):
    """The path holds no data set that can be read."""


class UnknownCamera(UsageError):
    """A camera is needed and none is known."""


class UnknownImage(UsageError):
    """No stored image has that id."""


class ImageError(ReidsearchError):
    """One file is not a readable picture; the message is the reason alone, without the path."""


class EncoderError(ReidsearchError):
    """A model file cannot be used as an encoder."""


class EncoderMismatch(EncoderError):
    """The gallery was made with another encoder."""


class CatalogError(ReidsearchError):
    """The catalog cannot be used."""


class NewerSchema(CatalogError):
    """The catalog was written by a newer reidsearch."""


class CatalogMoved(CatalogError):
    """The gallery's catalog was moved elsewhere."""


class CatalogLocked(CatalogError):
    """Another process writes the catalog and does not end."""

    exit_code = 4


class CatalogUnreachable(CatalogError):
    """The server that the catalog is on does not answer."""

    exit_code = 4


class EmptyGallery(ReidsearchError):
    """Nothing is stored that could be searched or evaluated."""


class IncompleteGallery(ReidsearchError):
    """An ingest has not ended, so that numbers about the gallery would be wrong."""


class NotCalibrated(ReidsearchError):
    """Transit times are needed and have not been learned."""


class BackupError(ReidsearchError):
    """A backup cannot be written, or what is to be restored is none."""


class GalleryClosed(ReidsearchError):
    """The gallery was closed and is used again."""


class StoreError(ReidsearchError):
    """The vector store failed."""

    exit_code = 4


class StoreLocked(StoreError):
    """Another process holds the vector store; where that is ``lasting``, one that may never end."""

    lasting = False


class StoreUnreachable(StoreError):
    """The vector store's server does not answer."""


class StoreElsewhere(StoreError):
    """The gallery's vectors are kept in another store than the one given."""

    exit_code = 1  # waiting does not mend it


class CopiedGallery(StoreError):
    """This data dir is a copy of another gallery, and shares its server with it."""

    exit_code = 1  # waiting does not mend it
