"""How a process gets at vectors in a data dir: by its lock, or on loan from whoever has that."""

import os
import time
from pathlib import Path

from reidsearch import lock
from reidsearch.errors import StoreLocked
from reidsearch.stores.lent import Loan, borrow

STEP = 0.25  # seconds between looks whether it is lent by now


def get(
    data_dir: Path, *, purpose: str, address: str | None, patience: float
) -> "lock.Held | Loan":
    """The lock, or a loan from whoever holds and lends. All arguments are as in ``lock.Held``.
    Raises StoreLocked where somebody else holds the vectors and does not lend them, StoreError
    where that is another version of reidsearch."""
    deadline = time.monotonic() + patience
    while True:
        loan = borrow(data_dir, borrower=f"reidsearch {purpose} (process {os.getpid()})")
        if loan is not None:
            return loan
        left = deadline - time.monotonic()
        try:
            return lock.Held(
                data_dir, purpose=purpose, address=address, patience=max(min(left, STEP), 0)
            )
        except StoreLocked:
            if left < STEP:
                raise
