"""Where each image's embedding stands, from the moment a data set names the image."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    delete,
    func,
    or_,
    select,
    update,
)

from reidsearch.catalog import settings
from reidsearch.catalog.among import among
from reidsearch.catalog.database import TableGroup, embedding_of_image
from reidsearch.catalog.expansions import outdate, outdate_for_all, outdate_images
from reidsearch.catalog.places import ids_by_name
from reidsearch.catalog.records import Candidate, EmbeddingRecord, Recorded, State
from reidsearch.catalog.settings import Setting
from reidsearch.catalog.tables import (
    UNFINISHED,
    camera,
    dataset,
    embedding,
    encoder,
    expanded,
    identity,
    image,
    thumbnail,
)
from reidsearch.catalog.upserts import insert_new, upsert
from reidsearch.hashes import image_id
from reidsearch.types import Rejected, Split

WRONG_PAYLOADS = 0  # of no form: they are to be made anew
_SEEN = ("camera_id", "sequence", "frame", "timestamp")  # by a data set, of where and when
_TOLD = ("split", "identity_id", *_SEEN)  # of all


class Embeddings(TableGroup):
    """Rows of ``embedding``, and those of ``image`` that come and go with them."""

    def stale(
        self, dataset_id: int, encoder_id: int, candidates: Sequence[Candidate]
    ) -> list[Recorded]:
        """Record the candidates; return those that are not stored as they now are.

        An image is left alone where it is indexed and its file's size and time of change, and what
        the data set says of it, are as recorded. Where only the last differs it stays indexed;
        every other is ``pending`` afterwards, and claimed for this process. What another living one
        has claimed is left to it. Where what is said of an image differs, the payloads of all
        encoders are noted to be wrong.
        """
        with self._writing(once=True) as db:
            query = select(dataset.c.site_id).where(dataset.c.id == dataset_id)
            site_id = db.execute(query).scalar_one()
            cameras = ids_by_name(db, camera, site_id, (c.sighting.camera for c in candidates))
            people = ids_by_name(db, identity, site_id, (c.sighting.identity for c in candidates))
            columns = [
                c for c in image.c if c.name not in ("dataset_id", "path", "sha256", "added")
            ]
            state, worker = embedding.c.state.label("state"), embedding.c.worker.label("worker")
            others = self.database.workers(db)
            known = {
                row.id: row
                for row in db.execute(
                    select(*columns, state, worker)
                    .select_from(image.outerjoin(embedding, embedding_of_image(encoder_id)))
                    .where(among(image.c.id, [c.id for c in candidates]))
                )
            }
            stale, rows, described_anew = [], [], False
            seen_otherwise: list[int] = []
            for candidate in candidates:
                seen = candidate.sighting
                row = {
                    "id": candidate.id,
                    "split": str(seen.split),
                    "camera_id": cameras.get(seen.camera),
                    "identity_id": people.get(seen.identity),
                    "sequence": seen.sequence,
                    "frame": seen.frame,
                    "timestamp": seen.timestamp,
                    "size": candidate.size,
                    "modified_ns": candidate.modified_ns,
                }
                old = known.get(candidate.id)
                if old is not None:
                    same_still = {**row, "state": State.INDEXED, "worker": old.worker}
                    if old._asdict() == same_still:
                        continue
                    described_anew |= any(getattr(old, name) != row[name] for name in _TOLD)
                    if any(getattr(old, name) != row[name] for name in _SEEN):
                        seen_otherwise.append(candidate.id)
                left = old is not None and old.state == State.PENDING and old.worker in others
                file = (candidate.size, candidate.modified_ns)
                stored = old is not None and old.state == State.INDEXED
                same = old is not None and (old.size, old.modified_ns) == file
                stale.append(
                    Recorded(
                        candidate=candidate,
                        camera_id=cameras.get(seen.camera),
                        encoded=stored and same,
                        changed=stored and not same,
                        claimed=not left,
                    )
                )
                if not left:
                    new_only = {"dataset_id": dataset_id, "path": seen.path, "added": time.time()}
                    rows.append({**row, **new_only})
            if rows:
                upsert(db, image, rows, key=["id"], change=[name for name in row if name != "id"])
                to_encode = [o.candidate.id for o in stale if o.claimed and not o.encoded]
                self._set_pending(db, encoder_id, to_encode, worker=self.database.worker)
                if seen_otherwise:
                    outdate_for_all(db, seen_otherwise)
                outdate(db)  # also where only what is said of an image has changed
            # This encoder's are made anew with its vectors, where none of these is encoded.
            others_only = [] if any(o.encoded for o in stale) else [encoder.c.id != encoder_id]
            if described_anew:
                mine = -self.database.worker
                kept = or_(encoder.c.payloads > WRONG_PAYLOADS, encoder.c.payloads == mine)
                wrong = case((kept, mine), else_=WRONG_PAYLOADS)
                db.execute(update(encoder).where(*others_only).values(payloads=wrong))
        return stale

    def relabelled(self, encoder_id: int, form: int) -> None:
        """Note that the payloads beside an encoder's vectors, which ``stale`` called wrong, are of
        this form again; not where another process called them so, too."""
        wrong = and_(encoder.c.id == encoder_id, encoder.c.payloads == -self.database.worker)
        with self._writing() as db:
            db.execute(update(encoder).where(wrong).values(payloads=form))

    def claimed(self, encoder_id: int, ids: Sequence[int]) -> set[int]:
        """Those of these images that still wait for this process to take them in: they were not
        forgotten meanwhile, nor taken over by another that found this one dead."""
        mine = embedding.c.worker == self.database.worker
        with self._reading() as db:
            pending = _in_state(encoder_id, State.PENDING)
            query = select(embedding.c.image_id).where(pending, mine)
            return set(db.scalars(query.where(among(embedding.c.image_id, ids))))

    def finish(
        self,
        encoder_id: int,
        *,
        indexed: Mapping[int, tuple[str, int | None]] | None = None,
        failed: Mapping[int, str] | None = None,
        thumbnails: Mapping[int, bytes] | None = None,
    ) -> int:
        """Record the outcome of pending images: id -> SHA-256 of the file and checksum of the
        vector (where it is known) of those indexed, id -> reason of those that failed; with the
        small pictures of those that have one. Returns how many vectors of other encoders wait to
        be made again from now on, as they are of what a file held before."""
        outdated = 0
        with self._writing() as db:
            if indexed:
                outdate(db)
                hashes = {id: digest for id, (digest, _) in indexed.items()}
                outdated = self._outdate_others(db, encoder_id, hashes)
                db.execute(
                    update(image)
                    .where(image.c.id == bindparam("of"))
                    .values(sha256=bindparam("to")),
                    [{"of": id, "to": digest} for id, digest in sorted(hashes.items())],
                )
                _set_state(
                    db,
                    encoder_id,
                    [(id, State.INDEXED, None) for id in indexed],
                    checksums={id: checksum for id, (_, checksum) in indexed.items()},
                )
                small = [{"image_id": i, "picture": p} for i, p in (thumbnails or {}).items()]
                upsert(db, thumbnail, small, key=["image_id"], change=["picture"])
            if failed:
                _set_state(db, encoder_id, [(id, State.FAILED, r) for id, r in failed.items()])
        return outdated

    def _outdate_others(self, db: Connection, encoder_id: int, hashes: Mapping[int, str]) -> int:
        """Set to pending what other encoders have of images whose files (id -> SHA-256) were others
        when they were last encoded; returns how many that are."""
        known = select(image.c.id, image.c.sha256).where(image.c.sha256.is_not(None))
        changed = [
            row.id
            for row in db.execute(known.where(among(image.c.id, hashes)))
            if row.sha256 != hashes[row.id]
        ]
        others = select(embedding.c.encoder_id, embedding.c.image_id).where(
            embedding.c.encoder_id != encoder_id, embedding.c.state == State.INDEXED
        )
        by_encoder: dict[int, list[int]] = defaultdict(list)
        for row in db.execute(others.where(among(embedding.c.image_id, changed))):
            by_encoder[row.encoder_id].append(row.image_id)
        for other, ids in by_encoder.items():
            self._set_pending(db, other, ids, worker=None)
        return sum(map(len, by_encoder.values()))

    def reject(
        self, dataset_id: int, encoder_id: int, name: str, files: Sequence[Rejected]
    ) -> None:
        """Record files that a reader found and could not take in."""
        if not files:
            return
        with self._writing() as db:
            ids = [image_id(name, file.path) for file in files]
            rows = [
                {
                    "id": id,
                    "dataset_id": dataset_id,
                    "split": str(file.split),
                    "path": file.path,
                    "added": time.time(),
                }
                for id, file in zip(ids, files, strict=True)
            ]
            insert_new(db, image, rows)
            _set_state(
                db,
                encoder_id,
                [(id, State.FAILED, f.reason) for id, f in zip(ids, files, strict=True)],
            )

    def count(
        self, encoder_id: int, state: State, splits: Iterable[Split], *, datasets: Iterable[int]
    ) -> int:
        """How many images of these splits and data sets stand in that state."""
        query = (
            select(func.count())
            .select_from(embedding.join(image))
            .where(
                _in_state(encoder_id, state),
                image.c.split.in_(list(splits)),
                image.c.dataset_id.in_(list(datasets)),
            )
        )
        with self._reading() as db:
            return int(db.execute(query).scalar_one())

    def labelled_datasets(self, encoder_id: int, splits: Iterable[Split]) -> set[int]:
        """The ids of the data sets of which images of these splits, whose person is known, are
        indexed."""
        query = (
            select(image.c.dataset_id)
            .select_from(embedding.join(image))
            .where(
                _in_state(encoder_id, State.INDEXED),
                image.c.split.in_(list(splits)),
                image.c.identity_id.is_not(None),
            )
            .distinct()
        )
        with self._reading() as db:
            return set(db.scalars(query))

    def unusable(self, dataset_id: int) -> set[int]:
        """The ids of the images of a data set that no encoder has a vector of or waits for: a
        reader rejected them, or they could not be decoded."""
        failed = select(embedding.c.image_id).join(image).where(image.c.dataset_id == dataset_id)
        others = failed.where(embedding.c.state != State.FAILED)
        with self._reading() as db:
            rejected = set(db.scalars(failed.where(embedding.c.state == State.FAILED)))
            return rejected.difference(db.scalars(others)) if rejected else rejected

    def indexed_ids(self, encoder_id: int, *, dataset_id: int | None = None) -> set[int]:
        """The ids of all images, of one data set or of all, whose vector is stored."""
        query = select(embedding.c.image_id).where(_in_state(encoder_id, State.INDEXED))
        if dataset_id is not None:
            query = query.join(image).where(image.c.dataset_id == dataset_id)
        with self._reading() as db:
            return set(db.scalars(query))

    def count_indexed(self, encoder_id: int) -> int:
        """How many images' vectors are stored."""
        query = (
            select(func.count()).select_from(embedding).where(_in_state(encoder_id, State.INDEXED))
        )
        with self._reading() as db:
            return int(db.execute(query).scalar_one())

    def indexed_among(self, encoder_id: int, ids: Sequence[int]) -> list[int]:
        """Those of these images whose vector is stored, in any order."""
        query = select(embedding.c.image_id).where(
            _in_state(encoder_id, State.INDEXED), among(embedding.c.image_id, ids)
        )
        with self._reading() as db:
            return list(db.scalars(query))

    def all(self, encoder_id: int) -> list[EmbeddingRecord]:
        """Where all images of one encoder stand."""
        with self._reading() as db:
            return _records(db, encoder_id)

    def checksums(self, encoder_id: int) -> dict[int, int | None]:
        """id -> the checksum of its stored vector, None where there is none, of all images of one
        encoder."""
        query = select(embedding.c.image_id, embedding.c.checksum).where(
            embedding.c.encoder_id == encoder_id
        )
        with self._reading() as db:
            return {row.image_id: row.checksum for row in db.execute(query).all()}

    def of(self, encoder_id: int, ids: Sequence[int]) -> dict[int, EmbeddingRecord]:
        """id -> where it stands, of those of these images that this encoder knows."""
        with self._reading() as db:
            mine = _records(db, encoder_id, among(embedding.c.image_id, ids))
            return {record.image_id: record for record in mine}

    def set_pending(self, encoder_id: int, ids: Iterable[int]) -> None:
        """Set images back to pending whose vectors turned out to be missing or wrong."""
        with self._writing() as db:
            self._set_pending(db, encoder_id, list(ids), worker=self.database.worker)

    def _set_pending(
        self, db: Connection, encoder_id: int, ids: Sequence[int], *, worker: int | None
    ) -> None:
        """Their vectors will be replaced, with all that is stored beside them: by that worker, or
        by whoever comes first."""
        if ids:
            outdate_images(db, encoder_id, ids)
            outdate(db)
        pending = [(id, State.PENDING, None) for id in ids]
        _set_state(db, encoder_id, pending, worker=worker)

    def set_checksums(self, encoder_id: int, checksums: Mapping[int, int]) -> None:
        """Record the checksums of vectors, by image id."""
        if not checksums:
            return
        with self._writing() as db:
            db.execute(
                update(embedding)
                .where(
                    embedding.c.encoder_id == encoder_id, embedding.c.image_id == bindparam("of")
                )
                .values(checksum=bindparam("to")),
                [{"of": id, "to": value} for id, value in checksums.items()],
            )

    def mark_deleting(self, ids: Sequence[int], *, compact: bool) -> None:
        """Take images out of every answer at once, for every encoder, and note that their vectors
        and rows are to go; with ``compact`` also that their bytes are."""
        with self._writing() as db:
            if ids:
                outdate(db)
                these = update(embedding).where(among(embedding.c.image_id, ids))
                db.execute(these.values(state=State.DELETING))
            if compact:
                settings.write(db, Setting.COMPACTION, "owed")

    def mark_encoder_deleting(self, encoder_id: int) -> None:
        """Take all that an encoder knows out of every answer at once, and note that its vectors
        and rows are to go, and their bytes."""
        with self._writing() as db:
            outdate(db)
            mine = update(embedding).where(embedding.c.encoder_id == encoder_id)
            db.execute(mine.values(state=State.DELETING))
            settings.write(db, Setting.COMPACTION, "owed")

    def waiting(self, encoder_id: int) -> set[int]:
        """The ids of pending images that no other living process is about to take in."""
        worker = embedding.c.worker
        query = select(embedding.c.image_id).where(_in_state(encoder_id, State.PENDING), UNFINISHED)
        with self._reading() as db:
            others = self.database.workers(db)
            return set(db.scalars(query.where(or_(worker.is_(None), worker.not_in(others)))))

    def deleting(self, encoder_id: int) -> list[int]:
        """The ids of images whose deletion is not finished."""
        query = select(embedding.c.image_id).where(
            _in_state(encoder_id, State.DELETING), UNFINISHED
        )
        with self._reading() as db:
            return list(db.scalars(query))

    def delete(self, encoder_id: int, ids: Sequence[int]) -> None:
        """Delete the rows of images whose vectors are deleted; those of an image itself, and of its
        identity, when nothing else needs them."""
        with self._writing() as db:
            mine = and_(expanded.c.encoder_id == encoder_id, among(expanded.c.image_id, ids))
            db.execute(delete(expanded).where(mine))
            gone = _in_state(encoder_id, State.DELETING)
            db.execute(delete(embedding).where(gone, among(embedding.c.image_id, ids)))
            used = select(embedding.c.image_id)
            unused = ~used.where(embedding.c.image_id == thumbnail.c.image_id).exists()
            db.execute(delete(thumbnail).where(among(thumbnail.c.image_id, ids), unused))
            unused = ~used.where(embedding.c.image_id == image.c.id).exists()
            db.execute(delete(image).where(among(image.c.id, ids), unused))
            used = select(image.c.id).where(image.c.identity_id == identity.c.id)
            db.execute(delete(identity).where(~used.exists()))


def _records(db: Connection, encoder_id: int, *fits: ColumnElement[bool]) -> list[EmbeddingRecord]:
    """The rows of one encoder that fit."""
    query = select(
        embedding.c.image_id, embedding.c.state, embedding.c.reason, embedding.c.checksum
    ).where(embedding.c.encoder_id == encoder_id, *fits)
    return [
        EmbeddingRecord(**{**row._mapping, "state": State(row.state)}) for row in db.execute(query)
    ]


def _in_state(encoder_id: int, state: State) -> ColumnElement[bool]:
    return and_(embedding.c.encoder_id == encoder_id, embedding.c.state == state)


def _set_state(
    db: Connection,
    encoder_id: int,
    states: Sequence[tuple[int, State, str | None]],
    *,
    worker: int | None = None,
    checksums: Mapping[int, int | None] | None = None,
) -> None:
    """Of these images (id, state, why it failed); with ``checksums`` those of their vectors, too,
    which stay as they are otherwise."""
    rows = [
        {
            "encoder_id": encoder_id,
            "image_id": id,
            "state": str(state),
            "reason": reason,
            "worker": worker,
            **({} if checksums is None else {"checksum": checksums[id]}),
        }
        for id, state, reason in states
    ]
    columns = ["state", "reason", "worker", *(["checksum"] if checksums is not None else [])]
    upsert(db, embedding, rows, key=["encoder_id", "image_id"], change=columns)
