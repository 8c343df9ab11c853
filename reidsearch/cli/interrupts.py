"""Ctrl-C is obeyed, wherever it lands."""

import signal
import sys
import threading
from _thread import interrupt_main, start_new_thread
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

MOMENT = 0.01  # seconds until an interruption that was lost comes again


@contextmanager
def obeyed() -> Iterator[None]:
    """See to it that an interruption ends what runs in here, with a KeyboardInterrupt.

    Python raises that in whatever the main thread is doing. Where this is a finalizer or the
    callback of a weak reference (SQLAlchemy's pool has one for each connection), no caller can be
    told: Python prints it as ignored, and the work goes on. Such a one is not printed, and comes
    again a moment later, until it lands where it is heard.
    """
    before = sys.unraisablehook
    ended = threading.Event()

    def again() -> None:
        if ended.wait(MOMENT):
            return
        if sys.platform == "win32":
            interrupt_main()
        else:  # a signal proper, which ends the main thread's waiting, too
            signal.pthread_kill(main, signal.SIGINT)

    def hook(ignored: "UnraisableHookArgs") -> None:
        if not issubclass(ignored.exc_type, KeyboardInterrupt):
            before(ignored)
            return
        # Raised in here it would be lost again: so from a thread, when this has returned. Those of
        # ``threading`` would need locks, which the code that was interrupted may hold.
        start_new_thread(again, ())

    main = threading.main_thread().ident or 0
    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
        ended.set()
