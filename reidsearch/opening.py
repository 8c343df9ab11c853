"""Open a gallery: a folder's, or a service's."""

from pathlib import Path
from typing import TYPE_CHECKING

from reidsearch.config import Config, load
from reidsearch.errors import UsageError
from reidsearch.gallery import FilePath, Gallery
from reidsearch.settings import Audit

if TYPE_CHECKING:
    from reidsearch.transport.restoring import Restored

SCHEMES = ("http://", "https://")


def open(
    data_dir: FilePath | None = None,
    *,
    server: str | None = None,
    token_file: FilePath | None = None,
    qdrant_url: str | None = None,
    catalog_url: str | None = None,
    encoder: FilePath | None = None,
    device: str | None = None,
    audit: Audit | str | None = None,
    retain_days: int | None = None,
    timezone: str | None = None,
) -> Gallery:
    """The gallery in a folder, made where it is new; or that of a service, where a URL is given in
    the folder's place, or as ``server``.

    What is not given comes from the environment (``REIDSEARCH_DATA_DIR`` and so on), then from
    ``reidsearch.toml`` in the current folder, then from the defaults. ``qdrant_url`` is a Qdrant
    server for the vectors of a new gallery; one that is filled knows where they are.
    ``catalog_url`` is a PostgreSQL database for a catalog that many machines share. ``encoder`` is
    an ONNX file, ``device`` cpu, cuda, openvino or coreml. ``audit`` is on, off or pictures (keep
    the probes too), ``retain_days`` how old images may become. ``timezone``, like Europe/Berlin, is
    that of times without an offset, by default the machine's own. A service has settings of its
    own, and may need a token: ``token_file`` holds it, or the environment's ``REIDSEARCH_TOKEN``.

    Raises UsageError on settings that cannot be, NewerSchema where a newer reidsearch made the
    gallery, CatalogError where the folder cannot be one.

    >>> with reidsearch.open("people") as gallery:
    ...     gallery.status().images
    ()
    """
    if isinstance(data_dir, str) and data_dir.startswith(SCHEMES):
        data_dir, server = None, data_dir
    given = {
        "data_dir": data_dir,
        "server": server,
        "token_file": token_file,
        "qdrant_url": qdrant_url,
        "catalog_url": catalog_url,
        "encoder": encoder,
        "device": device,
        "audit": audit,
        "retain_days": retain_days,
        "timezone": timezone,
    }
    texts = {key: None if value is None else str(value) for key, value in given.items()}
    return opened(load(texts, source="argument"), purpose="in Python")


def opened(config: Config, *, purpose: str) -> Gallery:
    """The gallery that these settings mean. ``purpose`` is what others are told that wait for it.
    Raises as ``open`` does."""
    if config.server is None:
        return Gallery(config, purpose=purpose)
    from reidsearch.client.gallery import RemoteGallery  # who opens a folder needs none of it

    return RemoteGallery(config)


def restore(
    file: FilePath,
    data_dir: FilePath | None = None,
    *,
    qdrant_url: str | None = None,
    catalog_url: str | None = None,
) -> "Restored":
    """Make a gallery from a backup, in a folder that has none: one of its own, which shares nothing
    with the one that the backup is of. ``qdrant_url`` is a server for its vectors, ``catalog_url``
    a database for its catalog, as in ``open``; neither need be what the other gallery had.

    Raises UsageError where there is a gallery already, BackupError where the file is no whole
    backup, and as ``open`` does. Then, or killed, there is no gallery, and the same call goes on.

    >>> backup = gallery.backup("monday.zip")
    >>> reidsearch.restore("monday.zip", "restored").vectors
    31
    """
    given = {"data_dir": data_dir, "qdrant_url": qdrant_url, "catalog_url": catalog_url}
    texts = {key: None if value is None else str(value) for key, value in given.items()}
    return restored(Path(file), load(texts, source="argument"))


def restored(file: Path, config: Config) -> "Restored":
    """The same, where these settings mean. Raises as ``restore`` does."""
    from reidsearch.transport import restoring

    if config.server is not None:
        raise UsageError(
            "a gallery is restored where its data dir is, not from afar", hint="Leave out {server}."
        )
    return restoring.restore(file, config)
