"""The crops that wait to be stored: how many may, and what they will be as images."""

import hashlib
import logging
from dataclasses import dataclass, fields
from pathlib import Path

from reidsearch.catalog.places import SITE
from reidsearch.catalog.records import DatasetRecord, ImageRecord
from reidsearch.environment import machine
from reidsearch.errors import StoreError, StoreLocked
from reidsearch.hashes import image_id
from reidsearch.pushing import aside, crops
from reidsearch.pushing.aside import Held
from reidsearch.pushing.crop import Crop, dataset_of
from reidsearch.session import Session
from reidsearch.stores.folder import require_space

log = logging.getLogger(__name__)

# An hour of 14 crops a second. They are files in one folder, which is counted for each batch that
# comes (0.16 s for so many), and read whole by whoever forgets.
MOST = 50_000
MOST_BYTES = 4 << 30  # 80 kB for each of them: a crop has a few, but may have 32 MB


@dataclass(frozen=True, slots=True)
class Waiting:
    """The file of a crop that waits, and the ``image`` that it will be; None where the file cannot
    be understood, and will never be one."""

    file: Path
    image: ImageRecord | None


def keep(session: Session, crop: Crop, *, beside: Held) -> Held:
    """Let a crop wait ``beside`` others; what waits then. Durable on return. Raises StoreLocked
    where too many wait already, StoreError where the disk is full or it cannot be kept."""
    size = len(crop.data)
    if beside.crops >= MOST or beside.bytes + size > MOST_BYTES:
        raise StoreLocked(
            f"{beside.crops:,} crops ({beside.bytes / 1e6:,.0f} MB) wait until nobody else changes "
            "the gallery, and no more may",
            hint="Push it again later: these are stored first.",
        )
    folder = session.waiting_folder
    aside.make(folder)
    require_space(folder, size)
    given = [one.name for one in fields(crop) if one.init and one.name != "data"]
    told = {name: getattr(crop, name) for name in given}
    # It has its id from now on, also where the gallery is elsewhere when it is stored.
    told["dataset"] = dataset_of(session, crop)
    aside.put(folder, told, crop.data)
    return Held(beside.crops + 1, beside.bytes + size)


def read(file: Path) -> Crop:
    """The crop that waits in a file. Raises OSError, and anything else where it is damaged."""
    told, data = aside.read(file)
    return Crop(data, **told)  # type: ignore[arg-type]


def understood(file: Path) -> tuple[Crop, float] | None:
    """The same, and when it came (seconds since 1970 UTC); None, with a warning, where the file or
    its name is not as they are written here. Raises OSError."""
    try:
        return read(file), aside.since(file)
    except OSError:
        raise
    except Exception as error:
        log.warning("%s was put aside and cannot be taken in: %s", file, error)
        return None


def all(session: Session) -> list[Waiting]:
    """Those that wait, in their order, as the images that they would be if they were stored now;
    what is ``added`` is when they came. Raises StoreError where a file cannot be read."""
    files = aside.waiting(session.waiting_folder)
    if not files:
        return []
    places = {one.name: one for one in session.catalog.places.datasets()}
    sites = {name: one.site for name, one in places.items()}
    found = []
    for file in files:
        try:
            known = understood(file)
        except FileNotFoundError:  # it was stored just now
            continue
        except OSError as error:
            raise StoreError(
                f"{file} cannot be read, and so nobody can say what waits in it: {error.strerror}",
                hint="Check its permissions.",
            ) from None
        if known is None:
            found.append(Waiting(file, None))
            continue
        crop, came = known
        name = dataset_of(session, crop)
        # The first crop of a new data set says where that is.
        site = crop.site or sites.get(name, SITE)
        sites.setdefault(name, site)
        found.append(Waiting(file, _image(session, crop, name, site, places.get(name), came)))
    return found


def _image(
    session: Session,
    crop: Crop,
    dataset: str,
    site: str,
    known: DatasetRecord | None,
    added: float,
) -> ImageRecord:
    seen = crop.sighting
    return ImageRecord(
        id=image_id(dataset, seen.path),
        dataset_id=0 if known is None else known.id,
        dataset=dataset,
        root=str(crops.root_of(session, dataset)),
        machine=machine() if session.shared else None,
        site=site,
        split=seen.split,
        path=seen.path,
        camera_id=None,
        camera=seen.camera,
        identity_id=None,
        identity=seen.identity,
        sequence=seen.sequence,
        frame=seen.frame,
        timestamp=seen.timestamp,
        size=len(crop.data),
        modified_ns=None,
        sha256=hashlib.sha256(crop.data).hexdigest(),
        added=added,
    )
