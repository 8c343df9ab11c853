"""What is stored, and which settings are in force."""

from dataclasses import dataclass, replace

from reidsearch import __version__, documents
from reidsearch.catalog.records import ImageCount, IngestRun
from reidsearch.config import KEYS
from reidsearch.session import Session


@dataclass(frozen=True, slots=True)
class SettingInForce:
    """A setting's value as text (None where it is not set), and where it came from."""

    key: str
    value: str | None
    source: str


@dataclass(frozen=True)
class Status:
    """``store`` is where vectors are: "embedded", or a server's address. ``images`` counts by data
    set, split, encoder and state; ``last_ingest`` is None before the first. Both call an encoder by
    its name and the beginning of its fingerprint."""

    version: str
    settings: tuple[SettingInForce, ...]
    store: str
    cameras: tuple[int, ...]
    images: tuple[ImageCount, ...]
    last_ingest: IngestRun | None

    def document(self) -> documents.StatusDocument:
        """As a JSON document."""
        return documents.status(self)


def status(session: Session) -> Status:
    """Reads the catalog alone, so that it answers while another process holds the gallery."""
    config, catalog = session.config, session.catalog
    values = {key: getattr(config, key) for key in KEYS}
    encoders = {
        one.fingerprint: f"{one.name} ({one.fingerprint[:8]})" for one in catalog.encoders()
    }
    run = catalog.runs.last()
    return Status(
        version=__version__,
        settings=tuple(
            SettingInForce(key, None if value is None else str(value), config.sources[key])
            for key, value in values.items()
        ),
        store=session.address,
        cameras=tuple(catalog.images.cameras()),
        images=tuple(
            replace(count, encoder=encoders[count.encoder]) for count in catalog.images.counts()
        ),
        last_ingest=None if run is None else replace(run, encoder=encoders[run.encoder]),
    )
