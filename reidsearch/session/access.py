"""How a process has vectors in a data dir: held, on loan, or beside others that only read."""

import logging
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from reidsearch import lock
from reidsearch.errors import StoreError
from reidsearch.stores import holding
from reidsearch.stores.lender import Lender, Lending
from reidsearch.stores.lent import Loan

log = logging.getLogger(__name__)

# Seconds that a session has held vectors, when it begins to lend them: who is done before lets
# others wait, and they wait longer than that (``lock.PATIENCE``).
LENDS_AFTER = 3.0


class Access:
    """The way to vectors in a data dir, once it is taken, until it is closed: by the data dir's
    lock, which then lends what ``lending`` has to this user's other processes, or on loan from a
    process that has the lock. Where the data dir is ``read_only``, beside others that read.

    ``purpose`` is what others are told that wait for the lock, and ``address`` the URL at which
    this process answers them, where it does; then it lends from the beginning. ``opening`` is held
    by whoever calls, and while it begins to lend later on.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        purpose: str,
        address: str | None,
        read_only: bool,
        lending: Lending,
        opening: threading.RLock,
    ) -> None:
        self._data_dir = data_dir
        self._purpose = purpose
        self._address = address
        self._read_only = read_only
        self._lending = lending
        self._opening = opening
        self._resources = ExitStack()
        self._held = False
        self._lock: lock.Held | None = None
        self._loan: Loan | None = None
        self._lender: Lender | None = None
        self._lends_later: threading.Timer | None = None
        self._ending = False

    @property
    def held(self) -> bool:
        """Whether vectors are this process's, and not on loan."""
        return self._held

    @property
    def locked(self) -> bool:
        """Whether this process has the data dir's lock."""
        return self._lock is not None

    @property
    def loan(self) -> Loan | None:
        """The loan that vectors are on, where they are."""
        return self._loan

    @property
    def loan_is_over(self) -> bool:
        """Whether vectors were on loan, and whoever lent them has ended."""
        return self._loan is not None and self._loan.over

    def take(self, *, alone: bool = False, patience: float) -> None:
        """Get at the vectors by the lock or, but ``alone``, on loan. Repeatable.

        Raises StoreLocked where another process has the lock, and neither lends nor ends within
        ``patience`` (seconds), StoreError where it is another version.
        """
        if self._held or (self._loan is not None and not alone):
            return
        if self._read_only:
            self._resources.enter_context(lock.shared(self._data_dir, patience=patience))
        else:
            get = lock.Held if alone else holding.get
            got = get(
                self._data_dir, purpose=self._purpose, address=self._address, patience=patience
            )
            if isinstance(got, Loan):
                self._loan = got
                self._resources.callback(got.close)
                return
            self._lock = self._resources.enter_context(got)
            if self._address is not None:
                self._lender = Lender(self._data_dir, self._lending)
            else:
                self._lends_later = threading.Timer(LENDS_AFTER, self._begin_to_lend)
                self._lends_later.daemon = True
                self._lends_later.start()
        self._held = True

    def turn(self, *, patience: float) -> AbstractContextManager[object]:
        """The right to change the data dir, which is not held. Raises StoreLocked where others have
        it for more than ``patience`` (seconds), StoreUnreachable where whoever lent it has ended;
        not before it is entered."""
        if self._loan is None:
            return self._locked(patience)
        return self._loan.turn(patience=patience)

    def forget_loan(self) -> None:
        """That the loan is over, so that vectors can be got at anew."""
        self._loan = None

    def release(self) -> None:
        """Let others have the lock, after all that is lent."""
        with self._opening:
            held, lender = self._lock, self._lender
            if held is None:
                return
            self._lock, self._lender, self._held = None, None, False
            if self._lends_later is not None:
                self._lends_later.cancel()
        if lender is not None:
            lender.close()
        held.release()

    def end_lending(self) -> Lender | None:
        """Begin to lend no more; whoever lends already is for the caller to close."""
        self._ending = True
        if self._lends_later is not None:
            self._lends_later.cancel()
        return self._lender

    def close(self) -> None:
        """Let go of it. Idempotent."""
        self._resources.close()

    @contextmanager
    def _locked(self, patience: float) -> Iterator[None]:
        with lock.Held(self._data_dir, purpose=self._purpose, patience=patience):
            yield

    def _begin_to_lend(self) -> None:
        with self._opening:
            if self._ending or not self._held or self._lender is not None:
                return
            try:
                self._lender = Lender(self._data_dir, self._lending)
            except StoreError as error:
                log.warning("Others wait until this has ended: %s", error.message)
