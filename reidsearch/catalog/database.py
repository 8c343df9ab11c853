"""What the parts of the catalog share: transactions, and queries in pieces."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, and_

from reidsearch.catalog.tables import embedding, image

VARIABLES = 10_000  # in one query; SQLite takes 32,766
T = TypeVar("T")


class TableGroup:
    """Some of the catalog's tables. Every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def _reading(self) -> Connection:
        return self.engine.connect()

    def _writing(self) -> AbstractContextManager[Connection]:
        return self.engine.execution_options(writes=True).begin()


def of_image(encoder_id: int) -> Any:
    """That a row of ``embedding`` belongs to a row of ``image``, and to this encoder."""
    return and_(embedding.c.image_id == image.c.id, embedding.c.encoder_id == encoder_id)


def batches(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """As many at a time as one query takes."""
    for start in range(0, len(values), VARIABLES):
        yield values[start : start + VARIABLES]
