"""The OpenAPI document is kept to: schemathesis makes requests of it, right and wrong, and checks the answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext, suppress
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import BaseSchema, Case, CheckContext, GenerationMode, Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.faults.service import Service, serving
from tests.full import FULL

from adjoin import model
from adjoin.odata import openapi

EXAMPLES: Final = 500 if FULL else 6
DOCUMENT: Final[dict[str, Any]] = openapi.openapi(
    model.BETA, title="adjoin", version="1", server_url="http://test/beta", token_url="http://test/token"
)
METHODS: Final = ("get", "post", "patch", "put", "delete")
CASES: Final = [
    (path, method, mode)
    for path, item in DOCUMENT["paths"].items()
    for method in METHODS
    if method in item
    for mode in GenerationMode
]


def no_fault_of_the_service(_: CheckContext, response: Response, __: Case[Any]) -> bool | None:
    """501 is an answer: the request was understood, and it is said that it is not carried out."""
    assert response.status_code < 500 or response.status_code == 501
    return None


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("openapi") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def token(service: Service) -> str:
    return service.token()


@pytest.fixture(scope="module")
def described(service: Service) -> BaseSchema:
    """The operations as the service itself describes them."""
    return schemathesis.openapi.from_url(f"{service.url}/openapi.json")


@pytest.mark.parametrize(("path", "method", "mode"), CASES, ids=lambda part: getattr(part, "value", part))
def test_every_answer_is_one_that_the_document_describes(
    described: BaseSchema, token: str, path: str, method: str, mode: GenerationMode
) -> None:
    headers = {"Authorization": f"Bearer {token}"}

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=described[path][method].as_strategy(generation_mode=mode))
    def hold(case: Case[Any]) -> None:
        case.call_and_validate(
            headers=headers,
            checks=[
                no_fault_of_the_service,
                status_code_conformance,
                content_type_conformance,
                response_schema_conformance,
            ],
        )

    # Where an operation has nothing that could be wrong, there are no wrong requests of it.
    with suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext():
        hold()
