"""Named points at which tests kill the process, to see what is left behind.

A point does nothing unless the environment variable names it: ``REIDSEARCH_TEST_FAULT=upserted``
kills the process without warning the first time it gets there, ``upserted#3`` the third time.
``upserted!SIGSTOP`` sends it that signal instead: it stands still there, until it is told to go on.
"""

import os
import signal

VARIABLE = "REIDSEARCH_TEST_FAULT"
INGEST = (
    "run started",
    "recorded",
    "decoded",
    "encoded",
    "upserted",
    "flushed",
    "confirmed",
    "run finished",
)
PUSH = ("crops written", "recorded", "encoded", "upserted", "flushed", "confirmed")
RELABEL = ("recorded", "relabelled")
MOVE = ("moves recorded", "deletions flushed")
FORGET = (
    "deletion recorded",
    "deletions flushed",
    "rows deleted",
    "collection copied",
    "collection aside",
    "collection swapped",
    "catalog compacted",
)
FORGET_WAITING = ("waiting deleted",)
STORE_WAITING = ("waiting stored",)
OPTIMISE = (
    "collection copied",
    "optimiser started",
    "collection optimised",
    "collection aside",
    "collection swapped",
)
EXPAND = ("expansion begun", "expanded written", "expanded recorded")
FORGET_ENCODER = (
    "encoder given up",
    "collection put aside",
    "collection deleted",
    "rows of encoder deleted",
    "encoder deleted",
    "catalog compacted",
)
UPGRADE = ("backed up", "migrated", "upgraded")
MOVE_VECTORS = ("vectors carried", "vectors verified", "vectors switched")
MOVE_CATALOG = ("table copied", "catalog copied", "catalog in place", "catalog switched")
BACKUP = ("backup vectors written", "backup written")
RESTORE = ("catalog staged", "vectors carried", "vectors verified", "restored")
REMOVE_OLD = ("old place emptied",)
DESCRIBE = ("payloads described",)

_where, _, _signal = os.environ.get(VARIABLE, "").partition("!")
_armed, _, _count = _where.partition("#")
_left = int(_count) if _count.isdecimal() else 1


def reach(point: str) -> None:
    """Die here by SIGKILL, or get another signal, where the environment says so."""
    global _left
    if point == _armed:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), getattr(signal, _signal, signal.SIGKILL))
