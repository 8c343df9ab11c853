"""Whether JSON is a document of some type: what comes from elsewhere is checked, then read."""

from types import NoneType, UnionType
from typing import NotRequired, TypeVar, cast, get_args, get_origin, get_type_hints, is_typeddict

T = TypeVar("T")


def checked(kind: type[T], found: object) -> T:
    """The same, as the TypedDict, or list of such, that it is. Keys beside those known are a later
    version's. Raises ValueError where it is none."""
    if not _fits(kind, found):
        raise ValueError(f"no {kind}")
    return cast(T, found)


def _fits(kind: object, found: object) -> bool:
    origin, arguments = get_origin(kind), get_args(kind)
    if is_typeddict(kind):
        assert isinstance(kind, type)
        hints = get_type_hints(kind, include_extras=True)
        return isinstance(found, dict) and all(
            _fits(hint, found[key]) if key in found else get_origin(hint) is NotRequired
            for key, hint in hints.items()
        )
    if origin is NotRequired:
        return _fits(arguments[0], found)
    if origin is UnionType:
        return any(_fits(one, found) for one in arguments)
    if origin is list:
        return isinstance(found, list) and all(_fits(arguments[0], one) for one in found)
    if origin is dict:
        return isinstance(found, dict) and all(_fits(arguments[1], one) for one in found.values())
    if kind is float:
        return isinstance(found, int | float) and not isinstance(found, bool)
    if kind is int:
        return isinstance(found, int) and not isinstance(found, bool)
    return kind is object or isinstance(found, NoneType if kind is NoneType else cast(type, kind))
