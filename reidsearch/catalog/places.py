"""Sites, their cameras and people, and the data sets that share them."""

from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import Connection, Table, func, insert, select, update

from reidsearch import names
from reidsearch.catalog.among import among
from reidsearch.catalog.database import TableGroup
from reidsearch.catalog.expansions import outdate, outdate_for_all
from reidsearch.catalog.records import CameraRecord, DatasetRecord, State
from reidsearch.catalog.tables import camera, dataset, embedding, identity, image, site
from reidsearch.catalog.upserts import insert_new
from reidsearch.errors import UsageError

SITE = "main"  # where data sets belong of which nothing else is said
LOOKED_AT = 5_000  # images, for their cameras


class Places(TableGroup):
    """Rows of ``site``, ``dataset``, ``camera`` and ``identity``."""

    def add_dataset(
        self,
        name: str,
        root: Path,
        *,
        site: str | None = None,
        new_at: str | None = None,
        layout: str | None = None,
        machine: str | None = None,
    ) -> int:
        """The id of the data set of that name, made where it is new.

        It belongs to ``site``, where given, and else stays where it is; a new one then goes to
        ``new_at``, or to SITE. ``layout`` is how it was read, where that is not known yet. Where
        its old root is gone it has moved, and where none of its images could be read it was looked
        for at the wrong place: its root is updated. ``machine`` is the one on whose disk it is,
        where many share the catalog. Raises UsageError where the name belongs to images of another
        folder that still exists, or is on another machine's disk.
        """
        with self._writing() as db:
            known = db.execute(select(dataset).where(dataset.c.name == name)).first()
            if known is None:
                new = db.execute(
                    insert(dataset).values(
                        name=name,
                        root=str(root),
                        site_id=_site_id(db, site or new_at or SITE),
                        layout=layout,
                        machine=machine if self.database.shared else None,
                    )
                )
                return int(new.inserted_primary_key[0])  # type: ignore[index]
            away = known.machine not in (None, machine)
            there = known.root != str(root) and (away or Path(known.root).exists())
            unusable = there and _is_unusable(db, known.id)
            if there and not unusable:
                where = f"{known.root} on {known.machine}" if away else known.root
                raise UsageError(
                    f"a data set named {name!r} is already stored, from {where}",
                    hint="Give this one a name of its own with {name}.",
                )
            changes: dict[str, object] = {"root": str(root)}
            if unusable:
                changes["machine"] = machine if self.database.shared else None
            if layout is not None and (unusable or known.layout is None):
                changes["layout"] = layout
            if site is not None and (site_id := _site_id(db, site)) != known.site_id:
                changes["site_id"] = site_id
                # Nobody is anybody's neighbour across sites.
                outdate_for_all(db, select(image.c.id).where(image.c.dataset_id == known.id))
                outdate(db)
            db.execute(update(dataset).where(dataset.c.id == known.id).values(changes))
            return int(known.id)

    def dataset_layout(self, dataset_id: int) -> str | None:
        """How a data set was read last."""
        with self._reading() as db:
            return db.scalar(select(dataset.c.layout).where(dataset.c.id == dataset_id))

    def set_root(self, dataset_id: int, root: Path) -> None:
        """Record that a data set's files are in another folder now."""
        with self._writing() as db:
            db.execute(update(dataset).where(dataset.c.id == dataset_id).values(root=str(root)))

    def set_layout(self, name: str, layout: str) -> None:
        """Record how the data set of that name is read from now on."""
        with self._writing() as db:
            db.execute(update(dataset).where(dataset.c.name == name).values(layout=layout))

    def datasets(self) -> list[DatasetRecord]:
        """All data sets, by name."""
        query = (
            select(
                dataset.c.id,
                dataset.c.name,
                dataset.c.root,
                dataset.c.machine,
                site.c.name.label("site"),
            )
            .join(site)
            .order_by(dataset.c.name)
        )
        with self._reading() as db:
            return [DatasetRecord(**row._mapping) for row in db.execute(query)]

    def cameras(self) -> list[CameraRecord]:
        """All cameras that have images: by site, then in the order of names."""
        query = select(camera.c.id, camera.c.name, site.c.name.label("site")).join(site)
        # Every search asks, and an index would slow down every ingest. A few images, as ids are
        # hashes, are of all cameras nearly always; where they are not, all images tell.
        some = select(image.c.camera_id).limit(LOOKED_AT).subquery()
        with self._reading() as db:
            known = [CameraRecord(**row._mapping) for row in db.execute(query)]
            used = set(db.scalars(select(some.c.camera_id).distinct()))
            if any(one.id not in used for one in known):
                used = set(db.scalars(select(image.c.camera_id).distinct()))
        found = [one for one in known if one.id in used]
        return sorted(found, key=lambda one: (one.site, names.order(one.name)))

    def people(self) -> int:
        """How many people have images: no junk, no distractors."""
        query = select(func.count()).where(
            identity.c.name.not_in([names.JUNK, names.DISTRACTOR]),
            # Not one look for each person: images are in no order of people.
            identity.c.id.in_(select(image.c.identity_id)),
        )
        with self._reading() as db:
            return int(db.execute(query).scalar_one())


def ids_by_name(
    db: Connection, table: Table, site_id: int, wanted: Iterable[str | None]
) -> dict[str | None, int]:
    """name -> row id of the cameras or identities of a site, made where they are new."""
    known = {name for name in wanted if name is not None}
    insert_new(db, table, [{"site_id": site_id, "name": one} for one in names.in_order(known)])
    query = select(table.c.name, table.c.id).where(
        table.c.site_id == site_id, among(table.c.name, known)
    )
    return {row.name: row.id for row in db.execute(query)}


def _is_unusable(db: Connection, dataset_id: int) -> bool:
    """Whether it has images, and none of them could be read."""
    images = select(image.c.id).join(embedding).where(image.c.dataset_id == dataset_id).limit(1)
    others = images.where(embedding.c.state != State.FAILED)
    return db.scalar(images) is not None and db.scalar(others) is None


def _site_id(db: Connection, name: str) -> int:
    """The id of the site of that name, made where it is new."""
    insert_new(db, site, [{"name": name}])
    return int(db.execute(select(site.c.id).where(site.c.name == name)).scalar_one())
