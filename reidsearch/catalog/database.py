"""What the parts of the catalog share: transactions, and queries in pieces."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, and_

from reidsearch.catalog.tables import embedding, image

VARIABLES = 10_000  # in one query; SQLite takes 32,766
T = TypeVar("T")


class TableGroup:
    """Some of the catalog's tables. Every method is one transaction, whose queries are given at
    most ``variables`` ids each."""

    def __init__(self, engine: Engine, *, variables: int = VARIABLES) -> None:
        self.engine = engine
        self.variables = variables

    def _reading(self) -> Connection:
        return self.engine.connect()

    def _writing(self) -> AbstractContextManager[Connection]:
        return self.engine.execution_options(writes=True).begin()

    def _batches(self, values: Sequence[T]) -> Iterator[Sequence[T]]:
        """As many at a time as one query takes."""
        for start in range(0, len(values), self.variables):
            yield values[start : start + self.variables]


def embedding_of_image(encoder_id: int) -> ColumnElement[bool]:
    """That a row of ``embedding`` belongs to a row of ``image``, and to this encoder."""
    return and_(embedding.c.image_id == image.c.id, embedding.c.encoder_id == encoder_id)
