"""The documents' descriptions as JSON schemas, for OpenAPI: made from the same TypedDicts that a
type checker holds the documents to."""

from types import NoneType, UnionType
from typing import NotRequired, TypeAlias, get_args, get_origin, get_type_hints, is_typeddict

Schema: TypeAlias = dict[str, object]

PREFIX = "#/components/schemas/"
_PLAIN: dict[object, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    NoneType: {"type": "null"},
    object: {},
}


class Schemas:
    """The components of one description, gathered while they are referred to."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}

    def of(self, kind: object) -> Schema:
        """The schema of a type that documents are made of; a TypedDict's is a reference."""
        origin, arguments = get_origin(kind), get_args(kind)
        if is_typeddict(kind):
            assert isinstance(kind, type)
            self._add(kind)
            return {"$ref": PREFIX + kind.__name__}
        if origin is NotRequired:
            return self.of(arguments[0])
        if origin is UnionType:
            return {"anyOf": [self.of(one) for one in arguments]}
        if origin is list:
            return {"type": "array", "items": self.of(arguments[0])}
        if origin is dict:
            return {"type": "object", "additionalProperties": self.of(arguments[1])}
        return dict(_PLAIN[kind])

    def _add(self, kind: type) -> None:
        if kind.__name__ in self.components:
            return
        schema: Schema = {"title": kind.__name__, "type": "object"}
        self.components[kind.__name__] = schema
        hints = get_type_hints(kind, include_extras=True)
        if kind.__doc__:
            schema["description"] = " ".join(kind.__doc__.split())
        schema["properties"] = {key: self.of(hint) for key, hint in hints.items()}
        required = [key for key, hint in hints.items() if get_origin(hint) is not NotRequired]
        schema["required"] = required
        schema["additionalProperties"] = False
