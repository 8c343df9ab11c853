"""Which catalog is the gallery's at this moment."""

from pathlib import Path

from reidsearch.catalog import Catalog, following, schema
from reidsearch.config import Config
from reidsearch.session.copies import Copies
from reidsearch.settings import CatalogUrl


class CurrentCatalog:
    """A gallery's catalog, opened at first need, and anew wherever it was moved to, until it is
    closed. ``file`` is where the data dir's is; where ``copies`` are given, that is copied."""

    def __init__(
        self,
        config: Config,
        *,
        file: Path,
        purpose: str,
        copies: Copies | None,
        given: Catalog | None,
    ) -> None:
        """``given`` is used in place of the data dir's."""
        self._config = config
        self._file = file
        self._purpose = purpose
        self._copies = copies
        self._opened = given
        self._urls: dict[str, str] = {}  # of catalogs, by their addresses

    @property
    def opened(self) -> Catalog | None:
        """It, where it is open."""
        return self._opened

    @property
    def shared(self) -> bool:
        """Whether it is on a server, and many machines may use it at once."""
        if self._opened is None:
            return self._config.catalog_url is not None
        return self._opened.database.shared

    @property
    def place(self) -> str:
        """Where it is, for messages: without secrets."""
        if self._opened is not None and self.shared:
            return self._opened.database.address
        return str(self._config.catalog_url or self._config.data_dir)

    @property
    def moved(self) -> bool:
        """Whether another process has moved it since it was opened."""
        return self._opened is not None and self._opened.residence.moved is not None

    def open(self) -> Catalog:
        """It, made where the gallery is new. Raises NewerSchema, CatalogError, CatalogLocked and
        CatalogMoved."""
        if self._opened is None:
            self._opened = self._followed(self._found_or_made())
        return self._opened

    def exists(self) -> bool:
        """Whether there is one, which is not made by being asked for."""
        if self._opened is not None:
            return True
        if self._config.catalog_url is None:
            return self._file.exists()
        found = schema.find_shared(self._config.catalog_url.secret, purpose=self._purpose)
        if found is None:
            return False
        self._opened = self._followed(found)
        return True

    def close(self) -> None:
        """Let go of it; the next who asks opens it anew. Idempotent."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def remember(self, url: CatalogUrl) -> None:
        """Keep a URL of a catalog, which may hold a password, for when the gallery is there."""
        self._urls[schema.address_of(url.secret)] = url.secret

    def url_of(self, address: str) -> str:
        """The URL of the catalog at an address: with a password, where this session knows one."""
        if self._config.catalog_url is not None:
            self.remember(self._config.catalog_url)
        return self._urls.get(address, address)

    def _found_or_made(self) -> Catalog:
        if self._config.catalog_url is not None:
            return schema.open_shared(self._config.catalog_url.secret, purpose=self._purpose)
        copies = self._copies
        return schema.open_catalog(self._file if copies is None else copies.catalog(self._file))

    def _followed(self, catalog: Catalog) -> Catalog:
        return following.followed(
            catalog, file=self._file, url_of=self.url_of, purpose=self._purpose
        )
