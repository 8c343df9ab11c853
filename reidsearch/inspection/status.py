"""What is stored, and which settings are in force."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from reidsearch import __version__, files, lock, names
from reidsearch.catalog.records import EncoderRecord, ImageCount, IngestRun
from reidsearch.config import KEYS
from reidsearch.documents.statuses import StatusDocument, status_document
from reidsearch.lock import Holder
from reidsearch.pushing import aside
from reidsearch.ranking.cells import Pairing
from reidsearch.session import Session
from reidsearch.stores import EMBEDDED, folder
from reidsearch.types import Scan


@dataclass(frozen=True, slots=True)
class SettingInForce:
    """A setting's value as text (None where it is not set), and where it came from."""

    key: str
    value: str | None
    source: str


@dataclass(frozen=True, slots=True)
class ExpandedCount:
    """How many ``images`` have expanded vectors of an ``encoder``, by which ``kind`` of neighbours,
    looked for among whom (``pairing``), and whether searches may use them now."""

    encoder: str
    kind: str
    pairing: Pairing
    images: int
    current: bool


@dataclass(frozen=True, slots=True)
class LearnedFrom:
    """Of how many ``images`` of which ``source`` an ``encoder``'s calibration was learned;
    ``pairing`` and ``sample`` are those of ``Calibration``."""

    encoder: str
    source: str
    images: int
    pairing: Pairing | None
    sample: int | None


@dataclass(frozen=True)
class Status:
    """``store`` is where vectors are: "embedded", or a server's address. ``cameras`` are the names
    of all ``sites`` together, ``people`` counts those with a name. ``taken`` is from when to when
    images with a time were taken, in seconds since 1970 UTC, ``bytes`` what the data dir takes of
    its disk. ``scan`` is how each encoder's vectors are searched. ``images`` counts by data set,
    split, encoder and state, ``learned`` and ``expanded`` are what ``calibrate`` or a first trace
    made; ``last_ingest`` is None before the first. All call an encoder by its name and the
    beginning of its fingerprint. ``running`` is another process that holds the gallery at this
    moment; ``waiting`` counts pushed crops that are kept until they can be stored."""

    version: str
    settings: tuple[SettingInForce, ...]
    store: str
    sites: tuple[str, ...]
    cameras: tuple[int | str, ...]
    people: int
    taken: tuple[float, float] | None
    bytes: int
    scan: Mapping[str, Scan]
    images: tuple[ImageCount, ...]
    expanded: tuple[ExpandedCount, ...]
    learned: tuple[LearnedFrom, ...]
    last_ingest: IngestRun | None
    running: Holder | None
    waiting: int

    def document(self) -> StatusDocument:
        """As a JSON document."""
        return status_document(self)


def status(session: Session) -> Status:
    """Reads the catalog alone, so that it answers while another process holds the gallery."""
    config, catalog = session.config, session.catalog
    values = {key: getattr(config, key) for key in KEYS}
    encoders = {
        one.fingerprint: f"{one.name} ({one.fingerprint[:8]})" for one in catalog.encoders()
    }
    expanded, learned = [], []
    for one in catalog.encoders():
        named = encoders[one.fingerprint]
        row = catalog.learned.calibration(one.id)
        if row is not None:
            pairing = None if row.pairing is None else Pairing(row.pairing)
            learned.append(LearnedFrom(named, row.source, row.images, pairing, row.sample))
        made = catalog.expansions.of(one.id)
        if made is not None:
            count = catalog.expansions.count(one.id)
            pairing = Pairing.ALL if made.cells is None else Pairing.CELLS
            expanded.append(ExpandedCount(named, made.kind, pairing, count, made.current))
    running = lock.holder(config.data_dir)
    run = catalog.runs.last()
    cameras = catalog.places.cameras()
    return Status(
        version=__version__,
        settings=tuple(
            SettingInForce(key, None if value is None else str(value), config.sources[key])
            for key, value in values.items()
        ),
        store=session.address,
        sites=tuple(sorted({one.site for one in catalog.places.datasets()})),
        cameras=tuple(map(names.number, names.in_order({one.name for one in cameras}))),
        people=catalog.places.people(),
        taken=catalog.images.taken(),
        bytes=files.bytes_on_disk(config.data_dir),
        scan={encoders[one.fingerprint]: _scan(session, one) for one in catalog.encoders()},
        images=tuple(
            replace(count, encoder=encoders[count.encoder]) for count in catalog.images.counts()
        ),
        expanded=tuple(expanded),
        learned=tuple(learned),
        last_ingest=None if run is None else replace(run, encoder=encoders[run.encoder]),
        running=None if running is None or running.pid == os.getpid() else running,
        waiting=len(aside.waiting(session.waiting_folder)),
    )


def _scan(session: Session, encoder: EncoderRecord) -> Scan:
    """As the files say, which can be read while another process holds them; a server is not
    asked, but expected to keep them as is set."""
    config = session.config
    if session.address != EMBEDDED:
        many = encoder.indexed > config.exact_up_to
        return Scan.QUANTISED if many and config.qdrant_quantised else Scan.EXACT
    path = session.vectors.path(encoder.fingerprint)
    return Scan.QUANTISED if folder.is_quantised(path) else Scan.EXACT
