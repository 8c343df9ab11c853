"""Every error reidsearch raises on purpose, with its exit code.

ReidsearchError                 1   something failed
├── UsageError                  2   the request cannot be carried out as written
│   ├── DatasetError            2   the path holds no data set that can be read
│   └── UnknownCamera           2   a camera is needed and none is known
├── ImageError                  1   one file is not a readable picture
├── EncoderError                1   a model file cannot be used
│   └── EncoderMismatch         1   the gallery was made with another encoder
├── CatalogError                1   the SQLite catalog cannot be used
│   ├── NewerSchema             1   it was written by a newer reidsearch
│   └── CatalogLocked           4   another process writes it
├── EmptyGallery                1   nothing is stored to search or evaluate
├── IncompleteGallery           1   an ingest has not ended
├── NotCalibrated               1   transit times are needed and not learned
└── StoreError                  4   the vector store failed
    ├── StoreLocked             4   another process holds it
    └── StoreUnreachable        4   the server does not answer

A message says what happened and why; the hint says what to try.
"""


class ReidsearchError(Exception):
    """Base of all errors; ``exit_code`` is what the command line ends with."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ReidsearchError):
    """The request cannot be carried out as written."""

    exit_code = 2


class DatasetError(UsageError):
    """The path holds no data set that can be read."""


class UnknownCamera(UsageError):
    """A camera is needed and none is known."""


class ImageError(ReidsearchError):
    """One file is not a readable picture; the message is the reason alone, without the path."""


class EncoderError(ReidsearchError):
    """A model file cannot be used as an encoder."""


class EncoderMismatch(EncoderError):
    """The gallery was made with another encoder."""


class CatalogError(ReidsearchError):
    """The SQLite catalog cannot be used."""


class NewerSchema(CatalogError):
    """The catalog was written by a newer reidsearch."""


class CatalogLocked(CatalogError):
    """Another process writes the catalog and does not end."""

    exit_code = 4


class EmptyGallery(ReidsearchError):
    """Nothing is stored that could be searched or evaluated."""


class IncompleteGallery(ReidsearchError):
    """An ingest has not ended, so that numbers about the gallery would be wrong."""


class NotCalibrated(ReidsearchError):
    """Transit times are needed and have not been learned."""


class StoreError(ReidsearchError):
    """The vector store failed."""

    exit_code = 4


class StoreLocked(StoreError):
    """Another process holds the vector store."""


class StoreUnreachable(StoreError):
    """The vector store's server does not answer."""
