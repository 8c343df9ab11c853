"""Open what is a regular file and nothing else: a pipe would block, a device never end."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

# Without O_NONBLOCK, opening a pipe waits for somebody to write into it.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


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
