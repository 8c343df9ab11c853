"""Copies of a gallery that can only be read."""

import logging
from pathlib import Path
from tempfile import TemporaryDirectory

from reidsearch.catalog import sqlite
from reidsearch.errors import StoreError
from reidsearch.files import copy_folder

log = logging.getLogger(__name__)


class Copies:
    """Catalog and vectors of a data dir in a temporary folder, which nobody else can read, until it
    is closed: Qdrant Edge opens no file that it may not write."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._temporary: TemporaryDirectory[str] | None = None

    def catalog(self, file: Path) -> Path:
        """A copy of a catalog's file."""
        copied = self._folder() / file.name
        sqlite.copy(file, copied)
        return copied

    def vectors(self, folder: Path) -> Path:
        """A copy of a collection's folder, or where it would be, where there is none. Raises
        StoreError."""
        copied = self._folder() / folder.name
        try:
            if folder.is_dir():
                log.info("The gallery can only be read; its vectors are copied to %s.", copied)
                copy_folder(folder, copied)
        except OSError as error:
            raise StoreError(
                f"the gallery in {self._data_dir} can only be read, and its vectors cannot "
                f"be copied to {copied.parent}: {error.strerror}",
                hint="Let TMPDIR name a folder with enough space.",
            ) from None
        return copied

    def close(self) -> None:
        """Remove them. Idempotent."""
        if self._temporary is not None:
            self._temporary.cleanup()

    def _folder(self) -> Path:
        if self._temporary is None:
            self._temporary = TemporaryDirectory(prefix="reidsearch-", ignore_cleanup_errors=True)
        return Path(self._temporary.name)
