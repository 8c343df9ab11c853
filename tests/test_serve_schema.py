"""``/openapi.json`` says what the service does, and a program can rely on it alone."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.result import Ok

from reidsearch.documents.failures import FailureDocument
from reidsearch.gallery import Gallery
from reidsearch.service.limits import Limits
from reidsearch.service.schemas import Schemas
from tests.serving import served

EXAMPLES = 15  # requests to each route, right ones and wrong ones

load_all_checks()
# Others want more than a description can say of forms: that a text is a picture, or a time.
CHECKED = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "response_headers_conformance",
        "unsupported_method",
    ]
)
PATHS = {
    ("post", "/api/query"), ("post", "/api/trace"), ("post", "/api/images"),
    ("get", "/api/images/{id}"), ("get", "/api/images/{id}/similar"), ("get", "/api/cameras"),
    ("get", "/api/status"), ("get", "/api/calibration"), ("get", "/api/audit"),
    ("post", "/api/forget"), ("get", "/healthz"), ("get", "/readyz"), ("get", "/metrics"),
}  # fmt: skip


@pytest.fixture
def client(gallery: Gallery) -> Iterator[httpx.Client]:
    with served(gallery, Limits(rate=1e6, burst=1_000_000)) as opened:
        yield opened


def test_every_route_is_described_with_its_document_and_its_problems(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    paths = described["paths"]
    assert {(method, path) for path, methods in paths.items() for method in methods} == PATHS
    for methods in paths.values():
        for operation in methods.values():
            assert "application/problem+json" in operation["responses"]["default"]["content"]
            assert operation["summary"]
    schemas = described["components"]["schemas"]
    answer = schemas["AnswerDocument"]
    assert {"query", "not", "hits", "uses"} <= set(answer["required"])
    assert "stays" not in answer["required"]
    assert answer["properties"]["hits"]["items"] == {"$ref": "#/components/schemas/HitDocument"}
    assert "HitDocument" in schemas


def test_a_schema_is_what_the_document_is() -> None:
    schemas = Schemas()
    assert schemas.of(FailureDocument) == {"$ref": "#/components/schemas/FailureDocument"}
    failure = schemas.components["FailureDocument"]
    assert failure["properties"] == {"path": {"type": "string"}, "reason": {"type": "string"}}
    assert failure["required"] == ["path", "reason"]
    assert schemas.of(list[int | None]) == {
        "type": "array",
        "items": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    }


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_what_is_made_up_from_the_description_is_answered_as_described(
    client: httpx.Client, mode: GenerationMode
) -> None:
    schema = schemathesis.openapi.from_url(str(client.base_url.join("/openapi.json")))
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        if mode is GenerationMode.NEGATIVE and not [*operation.iter_parameters(), *operation.body]:
            continue  # nothing to get wrong

        @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: "schemathesis.Case[Any]") -> None:
            case.call_and_validate(checks=CHECKED)  # type: ignore[arg-type]  # it takes classes too

        check()
