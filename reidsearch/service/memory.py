"""What a service frees goes back to the system.

glibc keeps freed memory for the thread that freed it, and the more of it, the larger the blocks are
that a process frees: at last 64 MB for each thread, Edge's among them. After a few answers, and
once all vectors were at hand, a service would hold several times what it uses.
"""

import ctypes
import platform

LEAST = 1 << 20  # bytes of a block that is the system's again at once, and that a thread may keep
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as malloc.h numbers them


def give_back_what_is_freed() -> None:
    """Let glibc do so in this process, and not learn from its largest blocks; other libraries are
    left as they are."""
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        for which in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
            library.mallopt(which, LEAST)
