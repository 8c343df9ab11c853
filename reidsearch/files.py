"""Open what is a regular file and nothing else; write a file whole or not at all."""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

# Without O_NONBLOCK, opening a pipe waits for somebody to write into it: it would block for ever.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_NAME = 50  # characters of a file's name that its partial file's name begins with; 255 bytes is all
_COPIED = 1 << 20  # bytes at a time


def open_regular(path: Path) -> BinaryIO:
    """The file at ``path``, open for reading bytes.

    The kind is asked of what was opened, so that nothing can change between the two. Raises
    OSError, also where the path is no regular file or no file can have such a name.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except ValueError:  # a NUL, or characters that the system's encoding lacks
        raise OSError(errno.EINVAL, "no file can have this name") from None
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        raise OSError(errno.EINVAL, "not a regular file") from None  # a socket
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return open(descriptor, "rb")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """An empty file beside ``path``, to be written to; it takes the other's place as one whole when
    the block ends, on the disk as well, and goes away where the block raises.

    Whoever reads ``path`` finds what was there before or all of what is new. Several processes may
    write at once: the last one's file stays. An earlier file keeps its permissions; where ``path``
    is a link, what it leads to is replaced. A process that is killed leaves its partial file
    behind, named after the other with the ending .partial.

    Raises OSError where the file cannot be written, where it is write-protected, and where
    something else than a regular file has its name.
    """
    target = Path(os.path.realpath(path))
    mode = _mode_of(target)
    partial = target.with_name(f"{target.name[:_NAME]}.{os.urandom(8).hex()}.partial")
    try:
        # What replaces a private file must not be public for a moment.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        os.close(os.open(partial, flags, 0o666 if mode is None else 0o600))
        try:
            yield partial
            _sync(partial)
            if mode is not None:
                partial.chmod(mode)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        if error.filename == str(partial):  # a name that says nothing to whoever asked
            error.filename, error.filename2 = str(path), None
        raise
    _sync_folder(target.parent)


def settle(new: Path, path: Path) -> None:
    """Give a file that is whole the name ``path`` in the same file system, on the disk as well.
    Raises OSError."""
    _sync(new)
    new.replace(path)
    _sync_folder(path.parent)


def may_write(path: Path) -> bool:
    """Whether the system lets this process write there, with the rights that count for it."""
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder's files to a new one, which its owner can write whatever ``source`` allows.

    Holes stay holes: Edge's files, of 32 MB each, hold little else. Raises OSError.
    """
    for folder, _, names in os.walk(source, onerror=_raise):
        beside = target / Path(folder).relative_to(source)
        beside.mkdir()
        for name in names:
            _copy(Path(folder) / name, beside / name)


def bytes_on_disk(folder: Path) -> int:
    """What the files in a folder take of their disk; those that go meanwhile count nothing."""
    total = 0
    for within, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                found = os.lstat(os.path.join(within, name))
                blocks = getattr(found, "st_blocks", None)  # of 512 bytes; Windows has none
                total += found.st_size if blocks is None else blocks * 512
    return total


def _copy(source: Path, target: Path) -> None:
    if not hasattr(os, "SEEK_DATA"):  # Windows
        shutil.copyfile(source, target)
        return
    with open_regular(source) as file, target.open("xb") as written:
        held = file.fileno()  # not through its buffer, which knows nothing of these seeks
        size = os.fstat(held).st_size
        hole = 0
        while hole < size:
            try:
                at = os.lseek(held, hole, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                break  # all the rest is a hole
            hole = os.lseek(held, at, os.SEEK_HOLE)
            written.seek(at)
            while at < hole and (some := os.pread(held, min(hole - at, _COPIED), at)):
                at += written.write(some)
        written.truncate(size)


def _raise(error: OSError) -> None:
    raise error


def _mode_of(path: Path) -> int | None:
    """The permissions of the file that is to be replaced, None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return stat.S_IMODE(found.st_mode)


def _sync_folder(path: Path) -> None:
    if os.name != "nt":  # its folders cannot be opened, and some file systems cannot sync theirs
        with contextlib.suppress(OSError):
            _sync(path, flags=os.O_RDONLY)


def _sync(path: Path, *, flags: int = os.O_RDWR) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
