"""Find the same person across cameras.

Everything starts with ``reidsearch.open``::

    import reidsearch

    with reidsearch.open("gallery") as gallery:
        gallery.ingest("crops/")
        answer = gallery.query("somebody.jpg", camera=1, exclude_camera=True)
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.2.0"

# Since 1.29 ONNX Runtime tells Microsoft which models run where, unless this is set before it is
# loaded, by whomever: what a gallery is used for is nobody else's business.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from reidsearch.errors import (
        BackupError,
        CatalogError,
        CatalogLocked,
        CopiedGallery,
        DatasetError,
        EmptyGallery,
        EncoderError,
        EncoderMismatch,
        GalleryClosed,
        ImageError,
        IncompleteGallery,
        NewerSchema,
        NotCalibrated,
        ReidsearchError,
        StoreElsewhere,
        StoreError,
        StoreLocked,
        StoreUnreachable,
        UnknownCamera,
        UnknownImage,
        UsageError,
    )
    from reidsearch.evaluation.compare import Comparison
    from reidsearch.evaluation.protocol import Evaluation
    from reidsearch.forgetting.removal import Forgotten
    from reidsearch.gallery import Gallery
    from reidsearch.ingest.summary import IngestSummary
    from reidsearch.inspection.encoders import EncoderCard
    from reidsearch.inspection.exploration import Exploration, Suspect
    from reidsearch.inspection.findings import Checkup, Finding
    from reidsearch.inspection.status import Status
    from reidsearch.opening import open, restore
    from reidsearch.pushing.add import Added
    from reidsearch.pushing.crop import Crop
    from reidsearch.ranking.calibration import Calibration, Source
    from reidsearch.search.answer import Answer, Asked, Hit
    from reidsearch.search.audit import AuditEntry
    from reidsearch.search.probe import Probe
    from reidsearch.search.stays import Stay
    from reidsearch.search.trace import Trace
    from reidsearch.settings import Audit
    from reidsearch.transport.backup import Backup
    from reidsearch.transport.move import Moved
    from reidsearch.transport.parts import MovedPart
    from reidsearch.transport.restoring import Restored
    from reidsearch.types import Split

# Where each name lives: nothing of it is loaded before it is asked for.
_HOMES = {
    "errors": (
        "BackupError",
        "CatalogError",
        "CatalogLocked",
        "CopiedGallery",
        "DatasetError",
        "EmptyGallery",
        "EncoderError",
        "EncoderMismatch",
        "GalleryClosed",
        "ImageError",
        "IncompleteGallery",
        "NewerSchema",
        "NotCalibrated",
        "ReidsearchError",
        "StoreElsewhere",
        "StoreError",
        "StoreLocked",
        "StoreUnreachable",
        "UnknownCamera",
        "UnknownImage",
        "UsageError",
    ),
    "evaluation.compare": ("Comparison",),
    "evaluation.protocol": ("Evaluation",),
    "forgetting.removal": ("Forgotten",),
    "gallery": ("Gallery",),
    "ingest.summary": ("IngestSummary",),
    "inspection.encoders": ("EncoderCard",),
    "inspection.exploration": ("Exploration", "Suspect"),
    "inspection.findings": ("Checkup", "Finding"),
    "inspection.status": ("Status",),
    "opening": ("open", "restore"),
    "pushing.add": ("Added",),
    "pushing.crop": ("Crop",),
    "ranking.calibration": ("Calibration", "Source"),
    "search.answer": ("Answer", "Asked", "Hit"),
    "search.audit": ("AuditEntry",),
    "search.probe": ("Probe",),
    "search.stays": ("Stay",),
    "search.trace": ("Trace",),
    "settings": ("Audit",),
    "transport.backup": ("Backup",),
    "transport.move": ("Moved",),
    "transport.parts": ("MovedPart",),
    "transport.restoring": ("Restored",),
    "types": ("Split",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Added",
    "Answer",
    "Asked",
    "Audit",
    "AuditEntry",
    "Backup",
    "BackupError",
    "Calibration",
    "CatalogError",
    "CatalogLocked",
    "Checkup",
    "Comparison",
    "CopiedGallery",
    "Crop",
    "DatasetError",
    "EmptyGallery",
    "EncoderCard",
    "EncoderError",
    "EncoderMismatch",
    "Evaluation",
    "Exploration",
    "Finding",
    "Forgotten",
    "Gallery",
    "GalleryClosed",
    "Hit",
    "ImageError",
    "IncompleteGallery",
    "IngestSummary",
    "Moved",
    "MovedPart",
    "NewerSchema",
    "NotCalibrated",
    "Probe",
    "ReidsearchError",
    "Restored",
    "Source",
    "Split",
    "Status",
    "Stay",
    "StoreElsewhere",
    "StoreError",
    "StoreLocked",
    "StoreUnreachable",
    "Suspect",
    "Trace",
    "UnknownCamera",
    "UnknownImage",
    "UsageError",
    "__version__",
    "open",
    "restore",
]


if not TYPE_CHECKING:  # a type checker knows the names from above, and no others

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module 'reidsearch' has no attribute {name!r}")
        return getattr(import_module(f"reidsearch.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
