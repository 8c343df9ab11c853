"""What the demo made."""

from typing import TYPE_CHECKING, TypedDict

from reidsearch.documents.calibrations import CalibrationDocument, calibration_document
from reidsearch.documents.evaluations import EvaluationDocument, evaluation_document
from reidsearch.documents.ingests import IngestDocument, ingest_document
from reidsearch.documents.traces import TraceDocument, trace_document

if TYPE_CHECKING:
    from reidsearch.demo import Demo


class DemoDocument(TypedDict):
    """What the demo made. ``evaluation`` is by cosine, ``best`` by all that was learned; ``pages``
    are what there is to look at."""

    folder: str
    sheet: str
    pages: list[str]
    ingest: IngestDocument
    evaluation: EvaluationDocument
    calibration: CalibrationDocument
    best: EvaluationDocument
    trace: TraceDocument


def demo_document(made: "Demo") -> DemoDocument:
    return {
        "folder": str(made.folder),
        "sheet": str(made.sheet),
        "pages": [str(page) for page in made.pages],
        "ingest": ingest_document(made.summary),
        "evaluation": evaluation_document(made.evaluation),
        "calibration": calibration_document(made.learned),
        "best": evaluation_document(made.best),
        "trace": trace_document(made.trace),
    }
