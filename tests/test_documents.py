"""The documents: described once, and printed as described."""

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import NotRequired, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from reidsearch.documents.answers import AnswerDocument
from reidsearch.documents.audits import AuditDocument
from reidsearch.documents.calibrations import CalibrationDocument
from reidsearch.documents.checkups import CheckupDocument
from reidsearch.documents.encoders import EncoderDocument
from reidsearch.documents.evaluations import ComparisonDocument, EvaluationDocument
from reidsearch.documents.explorations import ExplorationDocument
from reidsearch.documents.failures import FailureDocument
from reidsearch.documents.forgetting import ForgottenDocument, SelectedDocument
from reidsearch.documents.ingests import IngestDocument
from reidsearch.documents.statuses import StatusDocument
from reidsearch.documents.traces import TraceDocument
from tests.conftest import Run


def fits(value: object, kind: object) -> bool:
    """Whether a JSON value is what a document's description says, down to the last key."""
    origin, arguments = get_origin(kind), get_args(kind)
    if is_typeddict(kind):
        assert isinstance(kind, type)
        hints = get_type_hints(kind, include_extras=True)
        needed = {key for key, hint in hints.items() if get_origin(hint) is not NotRequired}
        return (
            isinstance(value, dict)
            and needed <= value.keys() <= hints.keys()
            and all(fits(one, hints[key]) for key, one in value.items())
        )
    if origin is NotRequired:
        return fits(value, arguments[0])
    if origin is UnionType:
        return any(fits(value, one) for one in arguments)
    if origin is list:
        return isinstance(value, list) and all(fits(one, arguments[0]) for one in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            isinstance(key, str) and fits(one, arguments[1]) for key, one in value.items()
        )
    if kind is float:
        return isinstance(value, float | int) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is object:
        return True
    assert kind in (str, bool, NoneType)
    return isinstance(value, kind)


def test_the_check_tells_what_fits_from_what_does_not() -> None:
    failure = {"path": "a", "reason": "b"}
    assert fits(failure, FailureDocument)
    assert not fits({"path": "a"}, FailureDocument)
    assert not fits({**failure, "more": 1}, FailureDocument)
    assert not fits({**failure, "reason": None}, FailureDocument)
    assert fits({"1": {"2": 0.5}}, dict[str, dict[str, float]])
    assert not fits({"1": {"2": "x"}}, dict[str, dict[str, float]])
    assert not fits(True, int)


PROBE, OTHER, ANOTHER = (f"query/000{n}_c1s1_000001_00.jpg" for n in (2, 3, 4))
COMMANDS: Mapping[str, tuple[object, tuple[object, ...]]] = {
    "ingest": (IngestDocument, ("ingest", "MARKET")),
    "explore": (ExplorationDocument, ("explore", "MARKET")),
    "explore what is stored": (ExplorationDocument, ("explore", "--stored")),
    "query": (AnswerDocument, ("query", PROBE)),
    "query in full": (
        AnswerDocument,
        ("query", PROBE, OTHER, "--together", "--not", ANOTHER, "--by-stay"),
    ),
    "evaluate": (EvaluationDocument, ("evaluate",)),
    "evaluate in full": (
        EvaluationDocument,
        ("evaluate", "--camera-pairs", "--spatio-temporal", "--rerank"),
    ),
    "compare": (ComparisonDocument, ("evaluate", "--compare", "ENCODER")),
    "calibrate": (CalibrationDocument, ("calibrate",)),
    "trace": (TraceDocument, ("trace", PROBE, "--min-score", 0.8)),
    "trace in full": (
        TraceDocument,
        ("trace", PROBE, OTHER, "--together", "--not", ANOTHER, "--min-score", 0.5),
    ),
    "doctor": (CheckupDocument, ("doctor",)),
    "status": (StatusDocument, ("status",)),
    "encoders": (list[EncoderDocument], ("encoders", "ENCODER", "--measure")),
    "audit": (list[AuditDocument], ("audit",)),
    "export": (dict[str, int], ("export", "out.npz")),
    "forget, dry": (SelectedDocument, ("forget", "--identity", 1, "--dry-run")),
    "forget": (ForgottenDocument, ("forget", "--identity", 1, "--yes")),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_prints_its_document(
    name: str, run: Run, market: Path, encoder_file: Path, settings: object
) -> None:
    kind, words = COMMANDS[name]
    (market / "query/0009_c1s1_000001_00.jpg").write_bytes(b"torn")
    run("ingest", market, exit_code=3)
    (market / "bounding_box_test/0003_c1s1_000010_01.jpg").unlink()  # for the doctor
    run("calibrate")
    run("query", market / PROBE)
    places: Mapping[object, Callable[[], object]] = {
        "MARKET": lambda: market,
        "ENCODER": lambda: encoder_file,
        **{name: functools.partial(market.joinpath, name) for name in (PROBE, OTHER, ANOTHER)},
    }
    given = [places[word]() if word in places else word for word in words]
    codes = {"ingest": 3, "doctor": 1}
    document = json.loads(run(*given, "--json", exit_code=codes.get(name, 0)).stdout)
    assert document
    assert fits(document, kind), document
