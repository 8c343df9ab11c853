"""Cameras that have images."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

from reidsearch import names

if TYPE_CHECKING:
    from reidsearch.catalog.records import CameraRecord


class CameraDocument(TypedDict):
    """A camera that has images, where it is, and its number in the catalog."""

    id: int
    camera: int | str
    site: str


def camera_documents(known: "Sequence[CameraRecord]") -> list[CameraDocument]:
    return [{"id": one.id, "camera": names.number(one.name), "site": one.site} for one in known]
