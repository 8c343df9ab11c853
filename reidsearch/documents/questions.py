"""What was asked: the pictures that an answer or a trace is for."""

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from reidsearch.search.answer import Answer
    from reidsearch.search.trace import Trace


# The names of a question's pictures: all that show the person, and those of others. Not a class, as
# one of the keys is a word of Python's.
PicturesDocument = TypedDict("PicturesDocument", {"together": list[str], "not": list[str]})


class AskedDocument(TypedDict):
    """A picture of a question beside its first: its name, and what is known of it. ``unlike`` tells
    that it shows somebody else."""

    query: str
    camera: int | str | None
    identity: int | str | None
    site: str | None
    unlike: bool


def other_pictures(given: "Answer | Trace") -> list[AskedDocument]:
    """A question's pictures but its first."""
    others = [(one, False) for one in given.more] + [(one, True) for one in given.unlike]
    return [
        {
            "query": one.query,
            "camera": one.camera,
            "identity": one.identity,
            "site": one.site,
            "unlike": unlike,
        }
        for one, unlike in others
    ]
