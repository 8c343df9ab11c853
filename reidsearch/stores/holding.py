"""How a process gets at vectors in a data dir: by its lock, or on loan from whoever has that."""

import logging
import os
import time
from pathlib import Path

from reidsearch import lock
from reidsearch.errors import StoreLocked
from reidsearch.stores.lent import Loan, borrow

STEP = 0.25  # seconds between looks whether it is lent by now
QUIETLY = 0.5  # seconds that one waits without a word

log = logging.getLogger(__name__)


def get(data_dir: Path, *, purpose: str, address: str | None) -> "lock.Held | Loan":
    """The lock, or a loan from whoever holds and lends. ``purpose`` and ``address`` are as in
    ``lock.Held``, whose patience this has, too. Raises StoreLocked where somebody else holds the
    vectors and does not lend them, StoreError where that is another version of reidsearch."""
    started = time.monotonic()
    deadline, said = started + lock.PATIENCE, False
    while True:
        loan = borrow(data_dir, borrower=f"reidsearch {purpose} (process {os.getpid()})")
        if loan is not None:
            return loan
        left = deadline - time.monotonic()
        try:
            return lock.Held(
                data_dir, purpose=purpose, address=address, patience=max(min(left, STEP), 0)
            )
        except StoreLocked as error:
            if left < STEP:
                raise
            if not said and time.monotonic() >= started + QUIETLY:
                log.info("%s. Waiting ...", error.message)
                said = True
