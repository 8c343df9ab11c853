"""The files of pushed crops, in the data dir: named by hashes, so that no name that came from
outside ever becomes a path."""

import contextlib
import hashlib
import os
from pathlib import Path

from reidsearch.errors import StoreError
from reidsearch.files import replacing
from reidsearch.session import Session

LAYOUT = "pushed"  # of data sets whose files these are
_FOLDER = 16  # characters of a hash; as many data sets never come together as would collide


def root_of(session: Session, dataset: str) -> Path:
    """The folder of a data set's crops, absolute."""
    name = hashlib.sha256(dataset.encode()).hexdigest()[:_FOLDER]
    return (session.crops_folder / name).resolve()


def path_of(key: str) -> str:
    """Where below that folder the crop with this key is, with forward slashes."""
    name = hashlib.sha256(key.encode()).hexdigest()
    return f"{name[:2]}/{name}"


def write(file: Path, data: bytes) -> None:
    """Make a crop's file durable; one that holds just that already is left alone, with its time of
    change. Raises StoreError where it cannot be written."""
    try:
        with contextlib.suppress(FileNotFoundError):
            if file.read_bytes() == data:
                return
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as partial:
            partial.write_bytes(data)
            partial.chmod(0o600)
    except OSError as error:
        raise StoreError(f"the crop cannot be kept in {file.parent}: {error.strerror}") from None


def sweep(session: Session) -> None:
    """Delete the files that no image has: those of forgotten crops, and of such as were never
    confirmed. Only while ``changing``."""
    top = session.crops_folder
    if not top.is_dir():
        return
    roots = {Path(one.root): one.id for one in session.catalog.places.datasets()}
    for folder in top.iterdir():
        dataset = roots.get(folder.resolve())
        kept = set()
        if dataset is not None:
            kept = {image.path for image in session.catalog.images.all(dataset)}
        for within, _, names in os.walk(folder):
            for name in names:
                file = Path(within) / name
                if file.relative_to(folder).as_posix() not in kept:
                    file.unlink()
