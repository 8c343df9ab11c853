"""A gallery from afar: the same verbs, asked of a service."""

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TypeVar

from reidsearch import errors, times
from reidsearch.client import read
from reidsearch.client.connection import Connection, Fields, File
from reidsearch.client.shape import checked
from reidsearch.config import Config
from reidsearch.documents.answers import AnswerDocument
from reidsearch.documents.audits import AuditDocument
from reidsearch.documents.cameras import CameraDocument
from reidsearch.documents.forgetting import ForgottenDocument, SelectedDocument
from reidsearch.documents.ingests import AddedDocument
from reidsearch.documents.statuses import StatusDocument
from reidsearch.documents.traces import TraceDocument
from reidsearch.environment import token
from reidsearch.errors import ImageError, NotCalibrated, ReidsearchError, UnknownImage, UsageError
from reidsearch.gallery import FilePath, Gallery
from reidsearch.search.inquiry import PLAIN
from reidsearch.search.probe import Probe
from reidsearch.search.question import Question
from reidsearch.session import Session

if TYPE_CHECKING:
    from reidsearch.catalog.records import CameraRecord, ImageRecord
    from reidsearch.forgetting.removal import Forgotten
    from reidsearch.inspection.status import Status
    from reidsearch.pushing.add import Added
    from reidsearch.pushing.crop import Crop
    from reidsearch.search.answer import Answer
    from reidsearch.search.audit import AuditEntry
    from reidsearch.search.inquiry import Inquiry
    from reidsearch.search.probe import Time
    from reidsearch.search.question import Pictures
    from reidsearch.search.trace import Trace

T = TypeVar("T")
R = TypeVar("R")


class RemoteGallery(Gallery):
    """The gallery of the service at the setting ``server``.

    Pictures to search for are read here and sent; those of hits stay where they are, and are
    fetched when they are looked at. Searches are logged there, as the token's. What takes the disk
    of the gallery raises UsageError.
    """

    def __init__(self, config: Config) -> None:
        """Raises UsageError where the token cannot be read. Nothing is asked yet."""
        assert config.server is not None
        self._config = config
        self._connection = Connection(config.server, token(config.token_file))

    @property
    def config(self) -> Config:
        return self._config

    @property
    def _session(self) -> Session:
        raise UsageError(
            f"this is not done over HTTP, and the gallery is at {self._connection.url}",
            hint="Do it where the gallery is, beside the service: without {server}.",
        )

    def __repr__(self) -> str:
        return f"<RemoteGallery {self._connection.url}>"

    def close(self) -> None:
        self._connection.close()

    def acting(self, operator: str) -> AbstractContextManager[None]:
        """Not from afar: the token tells who searches."""
        _ = self._session
        return super().acting(operator)

    def ready(self) -> None:
        self._connection.get("/readyz")

    def query_all(self, inquiries: "Sequence[Inquiry]") -> "list[Answer | ReidsearchError]":
        """One after the other, each a request: what comes at once is answered together there."""
        found: list[Answer | ReidsearchError] = []
        for one in inquiries:
            try:
                found.append(self._query(one))
            except (ImageError, UsageError, NotCalibrated) as error:  # of this one; others may do
                found.append(error)
        return found

    def _query(self, inquiry: "Inquiry") -> "Answer":
        question, wish = inquiry.question, inquiry.wish
        fields: Fields = {
            **self._pictures(question, None, None),
            "exclude_camera": inquiry.exclude_camera,
            "only_camera": list(inquiry.only_cameras),
            "site": inquiry.site,
            "dataset": inquiry.dataset,
            "since": self._written(inquiry.since),
            "until": self._written(inquiry.until),
            "split": str(inquiry.split),
            "top_k": inquiry.top_k,
            "min_score": None if inquiry.min_score == -math.inf else inquiry.min_score,
            "expand": wish.expand is True,
            "spatio_temporal": wish.spatio_temporal is True,
            "rerank": wish.rerank,
            "plain": wish == PLAIN,
            "exact": inquiry.exact,
            "by_stay": inquiry.by_stay,
        }
        found = self._connection.post("/api/query", fields, _files(question))
        return self._read(
            AnswerDocument,
            found,
            lambda told: read.answer(
                told, question, zone=self.config.timezone, fetch=self._fetching
            ),
        )

    def _require_searchable(self) -> None:
        """The service tells, with its answer."""

    def trace(
        self,
        picture: "Pictures",
        *,
        unlike: "Pictures" = (),
        camera: int | str | None = None,
        time: "Time | None" = None,
        name: str | None = None,
        site: str | None = None,
        dataset: str | None = None,
        since: "Time | None" = None,
        until: "Time | None" = None,
        false_matches: float | None = None,
        min_score: float | None = None,
        expand: bool = False,
        spatio_temporal: bool = False,
        plain: bool = False,
    ) -> "Trace":
        question = Question.of(picture, unlike=unlike, name=name)
        fields: Fields = {
            **self._pictures(question, camera, time),
            "site": site,
            "dataset": dataset,
            "since": self._written(since),
            "until": self._written(until),
            "false_matches": false_matches,
            "min_score": min_score,
            "expand": expand,
            "spatio_temporal": spatio_temporal,
            "plain": plain,
        }
        found = self._connection.post("/api/trace", fields, _files(question))
        return self._read(
            TraceDocument,
            found,
            lambda told: read.trace(
                told, question, zone=self.config.timezone, fetch=self._fetching
            ),
        )

    def stored(self, id: int) -> Probe:
        return Probe.of(self._connection.data(f"/api/images/{id}"), name=f"image {id}")

    def pictures(self, ids: Sequence[int]) -> "dict[int, bytes | ReidsearchError]":
        found: dict[int, bytes | ReidsearchError] = {}
        for id in ids:
            try:
                found[id] = self._connection.data(f"/api/images/{id}")
            except (ImageError, UnknownImage) as error:
                found[id] = error
        return found

    def add(self, crops: "Sequence[Crop]") -> "list[Added | ReidsearchError]":
        return [self._add(crop) for crop in crops]

    def cameras(self) -> "tuple[CameraRecord, ...]":
        found = self._connection.get("/api/cameras")
        return self._read(list[CameraDocument], found, read.cameras)

    def status(self) -> "Status":
        found = self._connection.get("/api/status")
        return self._read(StatusDocument, found, read.status)

    def audit(
        self, *, since: "Time | None" = None, save: FilePath | None = None
    ) -> "list[AuditEntry]":
        if save is not None:
            _ = self._session  # kept probes leave their machine by no other way
        found = self._connection.get("/api/audit", {"since": self._written(since)})
        return self._read(list[AuditDocument], found, read.audit)

    def forget(
        self,
        *,
        identity: int | str | None = None,
        images: Iterable[FilePath] = (),
        before: "Time | None" = None,
        camera: int | str | None = None,
        dataset: str | None = None,
        site: str | None = None,
        dry_run: bool = False,
        confirm: "Callable[[Sequence[ImageRecord]], None] | None" = None,
    ) -> "Forgotten":
        if list(images):
            _ = self._session  # its paths are none of another machine's
        fields: Fields = {
            "identity": identity,
            "camera": camera,
            "before": self._written(before),
            "dataset": dataset,
            "site": site,
        }
        found = self._connection.post("/api/forget", {**fields, "dry_run": True})
        meant = self._read(SelectedDocument, found, read.selected)
        if dry_run:
            return meant
        if confirm is not None and (meant.images or meant.waiting):
            raise UsageError(
                "nobody can be asked from afar whether that is to be forgotten",
                hint="Look with a dry run, then do it without asking.",
            )
        found = self._connection.post("/api/forget", fields)
        return self._read(ForgottenDocument, found, lambda told: read.forgotten(told, meant.images))

    def _pictures(
        self, question: Question, camera: int | str | None, time: "Time | None"
    ) -> Fields:
        """What goes along with a question's pictures."""
        return {
            "name": [one.name for one in question.probes],
            "not_name": [one.name for one in question.unlike],
            **self._told_of(question.probes, camera, time),
        }

    def _told_of(
        self, probes: Sequence[Probe], camera: int | str | None, time: "Time | None"
    ) -> Fields:
        """What is said of all pictures; what was said of each alone only where that is the same."""
        told: dict[str, str | int | float | None] = {
            "camera": camera,
            "time": self._written(time),
        }
        for field, key in (("camera", "camera"), ("time", "timestamp")):
            own = {getattr(one.seen, key) if key in one.given else None for one in probes}
            if key == "timestamp":
                own = {self._written(one) for one in own}
            if told[field] is None and own != {None}:
                if len(own) > 1:
                    raise UsageError(
                        f"from afar one {field} can be told of all pictures, and there are several",
                        hint="Ask for one picture at a time.",
                    )
                (told[field],) = own
        return told

    def _written(self, time: "Time | None") -> str | None:
        found = self._seconds(time)
        return None if found is None else times.written(found)

    def _add(self, crop: "Crop") -> "Added | ReidsearchError":
        fields: Fields = {
            "camera": crop.camera,
            "timestamp": self._written(crop.timestamp),
            "identity": crop.identity,
            "sequence": crop.sequence,
            "frame": crop.frame,
            "name": crop.name,
            "dataset": crop.dataset,
            "site": crop.site,
        }
        try:
            found = self._connection.post("/api/images", fields, [("image", crop.data)])
        except (ImageError, UsageError) as error:  # of this crop; others may do
            return error
        return self._read(AddedDocument, found, read.added)

    def _fetching(self, id: int) -> Callable[[], bytes]:
        return functools.partial(_fetched, self._connection, id)

    def _read(self, kind: type[T], found: object, make: Callable[[T], R]) -> R:
        try:
            return make(checked(kind, found))
        except (ValueError, KeyError, TypeError):
            raise self._connection.not_understood() from None


def _files(question: Question) -> list[File]:
    mine: list[File] = [("image", one.data) for one in question.probes]
    return [*mine, *(("not", one.data) for one in question.unlike)]


def _fetched(connection: Connection, id: int) -> bytes:
    """A stored image's picture. Raises ImageError where it cannot be had."""
    try:
        return connection.data(f"/api/images/{id}")
    except errors.ReidsearchError as error:
        raise ImageError(error.message) from None
