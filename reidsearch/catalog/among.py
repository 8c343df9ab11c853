"""That a column has one of many values: one statement, however many they are.

Written out as a list, each number of values would be a statement of its own, and connections keep
the last hundred that they prepared: of thousands of values, each takes as much as a megabyte.
"""

from collections.abc import Iterable
from typing import TypeVar

from sqlalchemy import JSON, ColumnElement, bindparam
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

T = TypeVar("T")


def among(column: ColumnElement[T], values: Iterable[T]) -> ColumnElement[bool]:
    """That the column has one of these values, integers or texts without NUL."""
    kept = JSON().with_variant(postgresql.ARRAY(column.type), "postgresql")
    return column.bool_op("IN")(_Each(bindparam(None, list(values), kept, unique=True)))


class _Each(FunctionElement[T]):
    """The rows of a parameter that holds all of them at once."""

    name = "each"
    inherit_cache = True


@compiles(_Each, "sqlite")
def _of_json(element: _Each[T], compiler: SQLCompiler, **how: object) -> str:
    return f"(SELECT value FROM json_each{compiler.process(element.clause_expr, **how)})"


@compiles(_Each, "postgresql")
def _of_array(element: _Each[T], compiler: SQLCompiler, **how: object) -> str:
    return f"(SELECT unnest{compiler.process(element.clause_expr, **how)})"
