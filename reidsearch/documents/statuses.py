"""What is stored, and which settings are in force."""

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from reidsearch.inspection.status import Status


class CountDocument(TypedDict):
    """How many images of a data set's split stand in a state, by encoder."""

    dataset: str
    root: str
    split: str
    encoder: str
    state: str
    images: int


class RunDocument(TypedDict):
    """The last ingest; ``finished`` is None where it was cut short."""

    dataset: str
    encoder: str
    started: float
    finished: float | None
    ingested: int | None
    unchanged: int | None
    failed: int | None


class RunningDocument(TypedDict):
    """A process that holds the gallery; ``since`` is in seconds since 1970 UTC."""

    pid: int
    command: str
    since: float


class ExpandedCountDocument(TypedDict):
    """How many images have expanded vectors: ``kind`` is appearance or times, by which neighbours
    were chosen; ``neighbours_among`` says where these were looked for: all pairs, or cells of like
    images where there are many. Where they are not ``current``, searches go without."""

    encoder: str
    kind: str
    neighbours_among: str
    images: int
    current: bool


class LearnedDocument(TypedDict):
    """What an encoder's calibration was made from: the keys of ``CalibrationDocument``."""

    encoder: str
    source: str
    images: int
    matches_among: str | None
    scores_of: int | None


class StatusDocument(TypedDict):
    """What is stored, and which settings are in force (by name: value, and from where).
    ``first_taken`` and ``last_taken`` are the images' times, in seconds since 1970 UTC; ``scan`` is
    how each encoder's vectors are searched, exact or quantised; ``waiting`` counts pushed crops
    that are kept until they can be stored."""

    version: str
    settings: dict[str, dict[str, str | None]]
    store: str
    sites: list[str]
    cameras: list[int | str]
    people: int
    first_taken: float | None
    last_taken: float | None
    bytes: int
    scan: dict[str, str]
    images: list[CountDocument]
    expanded: list[ExpandedCountDocument]
    learned: list[LearnedDocument]
    last_ingest: RunDocument | None
    running: RunningDocument | None
    waiting: int


def status_document(now: "Status") -> StatusDocument:
    run = now.last_ingest
    return {
        "version": now.version,
        "settings": {
            setting.key: {"value": setting.value, "from": setting.source}
            for setting in now.settings
        },
        "store": now.store,
        "sites": list(now.sites),
        "cameras": list(now.cameras),
        "people": now.people,
        "first_taken": None if now.taken is None else now.taken[0],
        "last_taken": None if now.taken is None else now.taken[1],
        "bytes": now.bytes,
        "scan": {encoder: str(scan) for encoder, scan in now.scan.items()},
        "images": [
            {
                "dataset": count.dataset,
                "root": count.root,
                "split": str(count.split),
                "encoder": count.encoder,
                "state": str(count.state),
                "images": count.images,
            }
            for count in now.images
        ],
        "expanded": [
            {
                "encoder": one.encoder,
                "kind": one.kind,
                "neighbours_among": str(one.pairing),
                "images": one.images,
                "current": one.current,
            }
            for one in now.expanded
        ],
        "learned": [
            {
                "encoder": one.encoder,
                "source": one.source,
                "images": one.images,
                "matches_among": None if one.pairing is None else str(one.pairing),
                "scores_of": one.sample,
            }
            for one in now.learned
        ],
        "last_ingest": None
        if run is None
        else {
            "dataset": run.dataset,
            "encoder": run.encoder,
            "started": run.started,
            "finished": run.finished,
            "ingested": run.ingested,
            "unchanged": run.unchanged,
            "failed": run.failed,
        },
        "running": None
        if now.running is None
        else {
            "pid": now.running.pid,
            "command": now.running.command,
            "since": now.running.since,
        },
        "waiting": now.waiting,
    }
