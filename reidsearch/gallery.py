"""A gallery: people's pictures that can be searched. The one front door.

Command line, HTTP and notebooks all come in here. Each method is one verb, told of in full
where it is carried out.
"""

import math
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

from reidsearch import names
from reidsearch.config import Config
from reidsearch.errors import ReidsearchError
from reidsearch.session import Session
from reidsearch.types import Split, choice

if TYPE_CHECKING:  # each verb is loaded when it is called: not every program needs them all
    from reidsearch.catalog.records import CameraRecord, EncoderRecord, ImageRecord, Left
    from reidsearch.evaluation.compare import Comparison
    from reidsearch.evaluation.protocol import Evaluation
    from reidsearch.forgetting.removal import Forgotten
    from reidsearch.ingest.losses import Loss
    from reidsearch.ingest.summary import IngestSummary
    from reidsearch.ingest.upkeep import Upkeep
    from reidsearch.inspection.encoders import EncoderCard
    from reidsearch.inspection.exploration import Exploration
    from reidsearch.inspection.findings import Checkup
    from reidsearch.inspection.status import Status
    from reidsearch.pushing.add import Added
    from reidsearch.pushing.crop import Crop
    from reidsearch.ranking.calibration import Calibration, Source
    from reidsearch.search.answer import Answer
    from reidsearch.search.audit import AuditEntry
    from reidsearch.search.inquiry import Inquiry
    from reidsearch.search.probe import Probe, Time
    from reidsearch.search.question import Pictures
    from reidsearch.search.trace import Trace
    from reidsearch.transport.backup import Backup
    from reidsearch.transport.move import Moved
    from reidsearch.transport.parts import Progress

FilePath: TypeAlias = str | os.PathLike[str]


class Gallery:
    """An open gallery. Made by ``reidsearch.open``; use it as a context manager, or close it.

    Vectors and encoder are opened at first need. While it holds the vectors of a data dir, other
    processes of this user wait for it for a few seconds, and then work beside it: it lends them
    (on a Qdrant server nobody waits). Threads may share it.
    """

    def __init__(
        self, config: Config, *, purpose: str = "in Python", address: str | None = None
    ) -> None:
        """Raises as ``open`` does. ``purpose`` is what others are told that wait for it, and
        ``address`` the URL at which this process answers them, where it does."""
        self._own = Session(config, purpose=purpose, address=address)

    @property
    def _session(self) -> Session:
        """What is open of it."""
        return self._own

    @property
    def config(self) -> Config:
        """The settings in force."""
        return self._session.config

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the gallery; whatever is asked of it afterwards raises GalleryClosed."""
        self._session.close()

    def hold(self) -> None:
        """Keep other processes out from now on, where vectors are in the data dir. Raises
        StoreLocked where one of them has the gallery and does not end.

        >>> gallery.hold()
        """
        self._session.hold()

    def acting(self, operator: str) -> AbstractContextManager[None]:
        """Within it, what this thread searches for is logged as that operator's.

        >>> with gallery.acting("ann"):
        ...     answer = gallery.query("somebody.png", camera=1)
        >>> gallery.audit()[-1].operator
        'ann'
        """
        from reidsearch.search import audit

        return audit.acting(operator)

    def __repr__(self) -> str:
        return f"<Gallery {self.config.data_dir}>"

    def _require_searchable(self) -> None:
        """Raise what ``ready`` would raise, where that is known without an encoder."""
        self._session.collection()

    def _seconds(self, time: "Time | None") -> float | None:
        """Seconds since 1970 UTC, in the gallery's zone where a time has none."""
        from reidsearch.search.probe import seconds

        return None if time is None else seconds(time, self.config.timezone)

    def ingest(
        self,
        path: FilePath,
        *,
        splits: Iterable[Split | str] | None = None,
        name: str | None = None,
        site: str | None = None,
        layout: str | None = None,
        pattern: str | None = None,
        root: FilePath | None = None,
        follow_links: bool = False,
        prune: "bool | Literal['all']" = False,
        confirm: "Callable[[Loss], None] | None" = None,
        on_progress: "Callable[[IngestSummary], None]" = lambda summary: None,
    ) -> "IngestSummary":
        """Take in the crops at ``path``: a published data set, a folder of crops, a CSV manifest.

        Doing it again changes nothing. ``splits`` are the parts to take (query and gallery by
        default), ``name`` is the data set's (its folder's by default), ``site`` where its cameras
        and people are: data sets of one site share them. ``layout`` says how folders are meant
        (people, cameras, market1501, ...; see ``datasets.layouts``), or ``pattern`` how paths are
        made (``"{camera}/{identity}_{frame}.jpg"``); without either it is read as before, or a new
        one as what is clear. ``root`` is where a manifest's paths begin, by default its folder.
        Linked folders are passed over, and followed with ``follow_links``, wherever they lead.

        ``prune`` removes stored images that the data set no longer has. Where that is most of it,
        or a whole folder, ``confirm`` is shown the loss and stops it by raising; without it that is
        a UsageError, and ``prune="all"`` removes them. ``on_progress`` is called every few
        hundred images with what has been done so far.

        Who else takes images in through this data dir is waited for, as long as that takes.

        Raises DatasetError where there is nothing to take in, StoreLocked where a service of
        another user holds the gallery; files that cannot be read are listed in the summary's
        ``failures``.

        >>> gallery.ingest("crops").failures
        []
        """
        from reidsearch import ingest
        from reidsearch.ingest import reading

        session = self._session
        dataset = reading.read(
            session,
            Path(path),
            splits=tuple(choice(Split, split, name="split") for split in splits or ()),
            name=name,
            layout=layout,
            pattern=pattern,
            root=None if root is None else Path(root),
            follow_links=follow_links,
        )
        return ingest.ingest(
            session,
            dataset,
            site=site,
            prune=prune,
            confirm=confirm,
            on_progress=on_progress,
        )

    def add(self, crops: "Sequence[Crop]") -> "list[Added | ReidsearchError]":
        """Take in single crops whose bytes are at hand, as a camera's software pushes them, and
        keep these in the data dir; they are durable when this returns.

        Doing it again changes nothing. What cannot be taken in has its error in its place; others
        are not concerned. Afterwards ``keep_current`` is due, at leisure. Raises StoreLocked,
        StoreError, CatalogError, EncoderError where nothing can be taken in.

        >>> from pathlib import Path
        >>> from reidsearch import Crop
        >>> crop = Crop(Path("somebody.png").read_bytes(), camera="lobby")
        >>> [str(added.outcome) for added in gallery.add([crop])]
        ['stored']
        """
        from reidsearch.pushing import add

        return add.add(self._session, crops)

    def put_aside(self, crops: "Sequence[Crop]") -> "list[Added | ReidsearchError]":
        """Keep crops where ``add`` raises StoreLocked: they are durable when this returns, and are
        taken in, before others, by the next ``add`` or ``keep_current``. One that cannot be kept
        has its error in its place: StoreLocked where too many wait, StoreError where the disk is
        full. Raises StoreError where nobody can say what waits.

        >>> from pathlib import Path
        >>> from reidsearch import Crop
        >>> crop = Crop(Path("somebody.png").read_bytes(), camera="yard")
        >>> [str(added.outcome) for added in gallery.put_aside([crop])]
        ['waiting']
        >>> [str(added.outcome) for added in gallery.add([crop])]
        ['unchanged']
        """
        from reidsearch.pushing import add

        return add.put_aside(self._session, crops)

    def keep_current(self) -> "Upkeep":
        """Bring up to date what depends on the images: what was learned, expanded vectors, kept
        neighbours; forget what is older than ``retain_days``. ``ingest`` does so by itself. Raises
        EmptyGallery where nothing is stored, and as ``ingest`` does.

        >>> gallery.keep_current().removed
        0
        """
        from reidsearch.ingest import upkeep

        return upkeep.keep_current(self._session)

    def explore(
        self,
        path: FilePath | None = None,
        *,
        splits: Iterable[Split | str] | None = None,
        layout: str | None = None,
        pattern: str | None = None,
        root: FilePath | None = None,
        follow_links: bool = False,
    ) -> "Exploration":
        """Look at the crops at ``path``, or without it at those stored: people and cameras, sizes,
        sharpness and brightness, near-duplicates; of those stored also suspicious labels, as that
        takes vectors.

        ``splits`` are the parts to look at, all by default; ``layout``, ``pattern``, ``root`` and
        ``follow_links`` are as in ``ingest``. Nothing is stored. Pictures that cannot be read are
        among the ``failures``. Raises DatasetError where there is nothing at ``path``; without it
        EmptyGallery, EncoderMismatch, StoreLocked.

        >>> gallery.explore("crops").cameras
        ('1', '2', '3')
        """
        from reidsearch import datasets
        from reidsearch.inspection import explore

        chosen = tuple(choice(Split, split, name="split") for split in splits or Split)
        if path is None:
            return explore.explore_stored(self._session.collection(), chosen)
        return explore.explore_dataset(
            datasets.read(
                Path(path),
                splits=chosen,
                layout=layout,
                pattern=pattern,
                root=None if root is None else Path(root),
                follow_links=follow_links,
            )
        )

    def query(
        self,
        picture: "Pictures",
        *,
        unlike: "Pictures" = (),
        camera: int | str | None = None,
        time: "Time | None" = None,
        name: str | None = None,
        exclude_camera: bool = False,
        only_cameras: Sequence[int | str] = (),
        site: str | None = None,
        dataset: str | None = None,
        since: "Time | None" = None,
        until: "Time | None" = None,
        split: Split | str = Split.GALLERY,
        top_k: int = 10,
        min_score: float = -math.inf,
        expand: bool = False,
        spatio_temporal: bool = False,
        rerank: bool = False,
        plain: bool = False,
        exact: bool = False,
        by_stay: bool = False,
    ) -> "Answer":
        """The stored images that show the person in a picture, the nearest first.

        ``picture`` is a path, a file's bytes, a PIL image or an H x W x 3 uint8 RGB array, or a
        list of such of one person, which are one question; ``camera`` and ``time`` are told of all
        of them, where their files' names do not tell, ``name`` of the first. Pictures in ``unlike``
        show somebody else: who looks more like them comes later, and they themselves are no hits.

        ``exclude_camera`` leaves out the pictures' own cameras, ``only_cameras`` all but some,
        ``site`` and ``dataset`` all but one; ``since`` and ``until`` what was not taken in between.

        A ``plain`` score is a cosine. ``expand`` compares vectors that carry their nearest in the
        gallery, ``spatio_temporal`` adds what the times between cameras say (``calibrate`` learns
        both), ``rerank`` re-ranks by k-reciprocal neighbours. Without any of these the best is used
        that the gallery has learned; the answer's ``ranking`` tells what that was. Of many images
        1 hit in 100 may be missed (the answer's ``scan`` tells); ``exact`` misses none. ``by_stay``
        gives the best hit of each of ``top_k`` stays, visits to a camera, and these stays. The
        search is recorded before it is answered.

        Raises ImageError where a picture cannot be read, EmptyGallery, EncoderMismatch,
        UnknownCamera, NotCalibrated, StoreLocked, UsageError where a picture is of the person and
        of somebody else at once.

        >>> answer = gallery.query("somebody.png", camera=1, exclude_camera=True, top_k=3)
        >>> [hit.rank for hit in answer.hits]
        [1, 2, 3]
        >>> answer.save("sheet.png")
        """
        inquiry = self.inquiry(
            picture,
            unlike=unlike,
            camera=camera,
            time=time,
            name=name,
            exclude_camera=exclude_camera,
            only_cameras=only_cameras,
            site=site,
            dataset=dataset,
            since=since,
            until=until,
            split=split,
            top_k=top_k,
            min_score=min_score,
            expand=expand,
            spatio_temporal=spatio_temporal,
            rerank=rerank,
            plain=plain,
            exact=exact,
            by_stay=by_stay,
        )
        (answer,) = self.query_all([inquiry])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def query_all(self, inquiries: "Sequence[Inquiry]") -> "list[Answer | ReidsearchError]":
        """Answer several questions at once, which takes far less than one after the other. In place
        of the answer to one that cannot be answered is its error, as ``query`` raises it.

        An answer is the same, to the last digit, whatever else is asked. Raises EmptyGallery,
        EncoderMismatch, StoreError and CatalogError, which concern all.

        >>> asked = [gallery.inquiry(path) for path in ("somebody.png", "somebody.png")]
        >>> [len(answer.hits) for answer in gallery.query_all(asked)]
        [10, 10]
        """
        from reidsearch.search import query

        session = self._session
        return session.again(lambda: query.query_all(session, inquiries))

    def inquiry(
        self,
        picture: "Pictures",
        *,
        unlike: "Pictures" = (),
        camera: int | str | None = None,
        time: "Time | None" = None,
        name: str | None = None,
        exclude_camera: bool = False,
        only_cameras: Sequence[int | str] = (),
        site: str | None = None,
        dataset: str | None = None,
        since: "Time | None" = None,
        until: "Time | None" = None,
        split: Split | str = Split.GALLERY,
        top_k: int = 10,
        min_score: float = -math.inf,
        expand: bool = False,
        spatio_temporal: bool = False,
        rerank: bool = False,
        plain: bool = False,
        exact: bool = False,
        by_stay: bool = False,
    ) -> "Inquiry":
        """What ``query`` would be asked, to be asked along with others by ``query_all``. Raises
        ImageError where a file cannot be read, and UsageError; before either what ``ready`` raises.

        >>> one, other = gallery.query_all([gallery.inquiry("somebody.png")] * 2)
        >>> one.hits == other.hits
        True
        """
        from reidsearch.search.inquiry import Inquiry, Wish
        from reidsearch.search.question import Question

        try:
            question = Question.of(
                picture, unlike=unlike, camera=camera, time=self._seconds(time), name=name
            )
        except ReidsearchError:
            self._require_searchable()  # that nothing can be is told of first
            raise
        return Inquiry(
            question=question,
            exclude_camera=exclude_camera,
            only_cameras=tuple(str(one) for one in only_cameras),
            site=site,
            dataset=dataset,
            since=self._seconds(since),
            until=self._seconds(until),
            split=choice(Split, split, name="split"),
            top_k=top_k,
            min_score=min_score,
            wish=Wish.of(
                expand=expand, spatio_temporal=spatio_temporal, rerank=rerank, plain=plain
            ),
            exact=exact,
            by_stay=by_stay,
        )

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
        """Where the person in a picture was: stays at cameras, in time order.

        Several pictures, and those in ``unlike``, make one question as in ``query``. Hits count
        from the score on that at most a share ``false_matches`` of the pairs of different people
        reach, or from ``min_score`` on; by default so that about 1 in 10 may be somebody else. What
        ``calibrate`` has learned tells that, or else the encoder; where neither can, NotCalibrated
        is raised. ``expand``, ``spatio_temporal`` and ``plain`` are as in ``query``. Where nobody
        has calibrated a gallery whose times are known, the first trace does it. The search is
        recorded. Raises as ``query`` does.

        >>> [stay.camera for stay in gallery.trace("somebody.png", min_score=0.9).stays]
        [1, 2, 3]
        """
        from reidsearch.search import trace
        from reidsearch.search.inquiry import Wish
        from reidsearch.search.question import Question

        self._require_searchable()
        session = self._session
        question = Question.of(
            picture, unlike=unlike, camera=camera, time=self._seconds(time), name=name
        )
        return session.again(
            lambda: trace.trace(
                session,
                question,
                site=site,
                dataset=dataset,
                since=self._seconds(since),
                until=self._seconds(until),
                false_matches=false_matches,
                min_score=min_score,
                wish=Wish.of(
                    expand=expand, spatio_temporal=spatio_temporal, rerank=False, plain=plain
                ),
            )
        )

    def stored(self, id: int) -> "Probe":
        """The stored image with that id, as hits tell it: to look at, or to search with.

        Raises UnknownImage where there is none, or none any more; ImageError where its file cannot
        be read or has changed.

        >>> hit = gallery.query("somebody.png", camera=1).hits[0]
        >>> gallery.stored(hit.id).name == hit.path
        True
        """
        from reidsearch.search import stored

        return stored.probe(self._session, id)

    def pictures(self, ids: Sequence[int]) -> "dict[int, bytes | ReidsearchError]":
        """The files of stored images by their ids, to look at; where a file is on another machine's
        disk, the small picture of it (setting ``thumbnails``). In place of one that cannot be
        handed out is its error, as ``stored`` raises it.

        >>> hit = gallery.query("somebody.png", camera=1).hits[0]
        >>> gallery.pictures([hit.id])[hit.id] == gallery.stored(hit.id).data
        True
        """
        from reidsearch.search import stored

        return stored.pictures(self._session, ids)

    def evaluate(
        self,
        *,
        multi_query: bool = False,
        rerank: bool = False,
        expand: bool = False,
        camera_means: bool = False,
        spatio_temporal: bool = False,
        camera_pairs: bool = False,
        details: bool = False,
        encoder: FilePath | None = None,
    ) -> "Evaluation":
        """Run the Market-1501 protocol over the stored queries and gallery.

        ``multi_query`` pools each probe's multi-query images; ``rerank``, ``expand`` and
        ``spatio_temporal`` rank as in ``query``; ``camera_means`` takes out of all vectors what
        each camera adds, as ``expand`` does anyhow; ``camera_pairs`` also tells mAP from each
        camera to each other, and ``details`` gathers what ``report`` draws. ``encoder`` evaluates
        the vectors of another one than the gallery was opened with.

        Raises EmptyGallery, IncompleteGallery, UnknownCamera, NotCalibrated.

        >>> evaluation = gallery.evaluate()
        >>> 0 < evaluation.mAP <= 1
        True
        """
        from reidsearch.evaluation import protocol

        return protocol.evaluate(
            self._session.collection(None if encoder is None else Path(encoder)),
            multi_query=multi_query,
            rerank=rerank,
            expand=expand,
            camera_means=camera_means,
            spatio_temporal=spatio_temporal,
            camera_pairs=camera_pairs,
            details=details,
            zone=self.config.timezone,
        )

    def compare(
        self,
        encoder: FilePath,
        *,
        multi_query: bool = False,
        rerank: bool = False,
        expand: bool = False,
        camera_means: bool = False,
        spatio_temporal: bool = False,
        camera_pairs: bool = False,
        details: bool = False,
    ) -> "Comparison":
        """Evaluate the gallery's encoder and another one whose vectors are stored too, and tell how
        sure the difference is. The options are those of ``evaluate``.

        Raises UsageError where the two were not evaluated on the same images, and as ``evaluate``
        does.

        >>> gallery.compare(gallery.config.encoder).difference
        0.0
        """
        from reidsearch.evaluation import compare

        first, second = (
            self.evaluate(
                multi_query=multi_query,
                rerank=rerank,
                expand=expand,
                camera_means=camera_means,
                spatio_temporal=spatio_temporal,
                camera_pairs=camera_pairs,
                details=details,
                encoder=one,
            )
            for one in (None, encoder)
        )
        return compare.compare(first, second)

    def calibrate(
        self, *, source: "Source | str | None" = None, report: FilePath | None = None
    ) -> "Calibration":
        """Learn the times that people take from camera to camera and what scores say, and let
        stored vectors carry their neighbours.

        ``source`` is train or gallery (from that split's identities) or matches (without any, from
        the gallery's own matches across cameras); by default train where it is stored. ``report``
        is a folder for a page that draws scores and thresholds. Raises EmptyGallery where there is
        nothing to learn from, UsageError where a report's plots could not be drawn.

        >>> gallery.calibrate(source="gallery").by_identity
        True
        """
        from reidsearch.learning import expand
        from reidsearch.ranking.calibration import Source
        from reidsearch.views import calibration, plots

        chosen = None if source is None else choice(Source, source, name="source")
        if report is not None:
            plots.require()
        with self._session.changing():
            learned = expand.learn(self._session.collection(), source=chosen)
        if report is not None:
            calibration.write(learned, Path(report))
        return learned

    def calibration(self) -> "Calibration":
        """What ``calibrate`` has learned. Raises NotCalibrated where it never ran.

        >>> learned = gallery.calibrate()
        >>> gallery.calibration().images == learned.images
        True
        """
        from reidsearch.learning import calibrate, expand

        collection = self._session.collection()
        return replace(calibrate.load(collection), expanded=expand.scores(collection))

    def cameras(self) -> "tuple[CameraRecord, ...]":
        """The cameras that have images: by site, then in the order of names.

        >>> [camera.name for camera in gallery.cameras()]
        ['1', '2', '3']
        """
        return tuple(self._session.catalog.places.cameras())

    def encoders(self, *paths: FilePath, measure: bool = False) -> "list[EncoderCard]":
        """Which encoders there are, to choose one by: those that came with reidsearch, the one in
        use, those that the gallery has vectors of, and those at ``paths``, files or folders.

        Each is tried; one that cannot be used tells why in its ``problem``. With ``measure`` it is
        also told how many images a second each does here. Raises UsageError where there is nothing
        at a path.

        >>> [card.indexed for card in gallery.encoders() if card.in_use]
        [31]
        """
        from reidsearch.inspection import encoders

        return encoders.encoders(self._session, [Path(path) for path in paths], measure=measure)

    def ready(self) -> None:
        """Open all that a query takes, and raise what it would raise whatever it asked for:
        EmptyGallery, EncoderMismatch, StoreLocked, StoreUnreachable, CatalogError.

        >>> gallery.ready()
        """
        from reidsearch.search import audit

        audit.require_log(self._session)
        collection, _ = self._session.searchable()
        collection.store.count()

    def export(
        self, out: FilePath, *, since: "Time | None" = None, until: "Time | None" = None
    ) -> dict[str, int]:
        """Write what is stored to one file: with vectors as .npz or .parquet, without as .csv.
        Returns the number of images, in all and by split.

        An identity of -1 is junk, 0 a distractor. What is not known is an empty cell or null; in
        .npz it is -2, an empty name, or NaN for a timestamp, and -3 is a camera or identity whose
        name, in ``camera_name`` or ``identity_name``, is no number.

        ``since`` and ``until`` leave what was taken in between. Raises EmptyGallery, UsageError on
        another ending and where pyarrow is missing for .parquet.

        >>> gallery.export("gallery.npz")["images"] > 0
        True
        """
        from reidsearch.vectors import export

        return export.export(
            self._session.collection(),
            Path(out),
            since=self._seconds(since),
            until=self._seconds(until),
            zone=self.config.timezone,
        )

    def status(self) -> "Status":
        """What is stored, and which settings are in force.

        >>> gallery.status().cameras
        (1, 2, 3)
        """
        from reidsearch.inspection import status

        return status.status(self._session)

    def doctor(self, *, fix: bool = False) -> "Checkup":
        """Compare catalog, vectors and files; with ``fix`` mend what can be mended.

        >>> gallery.doctor().left
        ()
        """
        from reidsearch.inspection import doctor

        return doctor.examine(self._session, fix=fix)

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
        """Remove the images that fit everything given here, down to the bytes in the stores' files,
        and pushed crops that wait to be such.

        ``dry_run`` only tells which these are; ``confirm`` is shown them first, and stops it by
        raising. Raises UsageError where nothing is given, or a name means different people or
        cameras at several sites.

        >>> len(gallery.forget(identity=2, dry_run=True).images) > 0
        True
        """
        from reidsearch.forgetting import people
        from reidsearch.forgetting.selection import Selection

        selection = Selection(
            identity=None if identity is None else names.name(str(identity), of="identity"),
            images=tuple(map(Path, images)),
            before=self._seconds(before),
            camera=None if camera is None else names.name(str(camera), of="camera"),
            dataset=dataset,
            site=None if site is None else names.name(site, of="site"),
        )
        return people.forget(self._session, selection, dry_run=dry_run, confirm=confirm)

    def forget_encoder(
        self,
        encoder: str,
        *,
        dry_run: bool = False,
        confirm: "Callable[[EncoderRecord, Sequence[ImageRecord]], None] | None" = None,
    ) -> "Forgotten":
        """Remove the vectors of an encoder, given by its name or the beginning of its fingerprint,
        with all that was learned with it. Images that no other encoder knows go whole.

        ``dry_run`` only tells which these are; ``confirm`` is shown the encoder and these images
        first, and stops it by raising. Raises UsageError where not just one encoder is meant.

        >>> gallery.forget_encoder("colours", dry_run=True).vectors > 0
        True
        """
        from reidsearch.forgetting import encoders

        return encoders.forget(self._session, encoder, dry_run=dry_run, confirm=confirm)

    def audit(
        self, *, since: "Time | None" = None, save: FilePath | None = None
    ) -> "list[AuditEntry]":
        """Who searched for whom, the oldest first; ``save`` also writes kept probes to a folder.

        >>> [entry.command for entry in gallery.audit()][-1]
        'trace'
        """
        from reidsearch.search import audit

        if save is not None:
            audit.save_pictures(self._session, Path(save))
        return audit.entries(self._session, since=self._seconds(since) or 0.0)

    def claim(self, *, copy: bool = False) -> None:
        """Say whose the vectors on a server are, where a data dir was moved, restored or copied.

        Without ``copy`` this is the gallery itself, and they are its own. With it this becomes a
        gallery of its own, without vectors: the next ingest encodes its images.
        """
        self._session.claim(copy=copy)

    def move(
        self,
        to: str | Sequence[str],
        *,
        on_progress: "Callable[[Progress], None]" = lambda progress: None,
    ) -> "Moved":
        """Move the gallery elsewhere, without encoding anything again: its vectors to the Qdrant
        server at an http:// or https:// address, its catalog to a PostgreSQL database's URL, or
        what has no such place among ``to`` into the data dir, where that is ``"embedded"``.

        All is held against its checksum before the new place is used; until then the old one is.
        Cut short, the same call goes on. Afterwards the old place still holds what it held; see
        ``remove_old``. Raises EmptyGallery, UsageError where a place cannot be meant or is another
        gallery's, StoreLocked and CatalogLocked where others use the gallery, StoreError and
        CatalogError where a place fails.

        >>> gallery.move("embedded").parts  # it is there already
        ()
        """
        from reidsearch.transport import move, places

        wanted = places.places([to] if isinstance(to, str) else to)
        return move.move(self._session, wanted, on_progress=on_progress)

    def remove_old(self) -> "tuple[Left, ...]":
        """Delete what is in the places that the gallery was moved from; returns these. Raises
        StoreError or CatalogError where one does not answer.

        >>> gallery.remove_old()
        ()
        """
        from reidsearch.forgetting import left

        return left.remove(self._session)

    def backup(self, out: FilePath) -> "Backup":
        """Write catalog, vectors and pushed crops, as they are at one moment, to a new file that
        ends in .zip, or to one named after gallery and time in a folder, which is made where it is
        missing; ``reidsearch.restore`` makes a gallery of it.

        It has its name when it is whole. Nobody changes the gallery meanwhile. Raises EmptyGallery,
        UsageError where the file exists, BackupError where it cannot be written, StoreError where a
        vector is missing or damaged, StoreLocked where the gallery is being changed.

        >>> gallery.backup("monday.zip").vectors
        31
        """
        from reidsearch.transport import backup

        return backup.backup(self._session, Path(out))
