"""Open a gallery: a folder's, or a service's."""

from reidsearch import config as settings
from reidsearch.config import Audit, Config
from reidsearch.gallery import FilePath, Gallery

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
    return opened(settings.load(texts, source="argument"), purpose="in Python")


def opened(config: Config, *, purpose: str) -> Gallery:
    """The gallery that these settings mean. ``purpose`` is what others are told that wait for it.
    Raises as ``open`` does."""
    if config.server is None:
        return Gallery(config, purpose=purpose)
    from reidsearch.client.gallery import RemoteGallery  # who opens a folder needs none of it

    return RemoteGallery(config)
