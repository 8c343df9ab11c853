"""What a service frees goes back to the system.

glibc keeps freed memory for the thread that freed it, and the more of it, the larger the blocks are
that a process frees: at last 64 MB for each thread, Edge's among them. After a few answers, and
once all vectors were at hand, a service would hold several times what it uses.
"""

import ctypes
import functools
import platform

LEAST = 1 << 20  # bytes of a block that is the system's again at once, and that a thread may keep
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as malloc.h numbers them


def keep_little() -> None:
    """Let large blocks go back as they are freed, in this process from now on. Where the C library
    is not glibc, nothing is done, here and below."""
    if (library := _glibc()) is not None:
        for which in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
            library.mallopt(which, LEAST)


def give_back() -> None:
    """Let go of what lies free between small blocks, which takes milliseconds: after much work."""
    if (library := _glibc()) is not None:
        library.malloc_trim(ctypes.c_size_t(0))


@functools.cache  # which C library it is stands in Python's own file
def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
