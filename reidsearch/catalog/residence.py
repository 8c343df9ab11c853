"""Where the parts of a gallery are, where they were, and where they are on the way to.

A catalog that is moved is copied first, to one that is ``arriving``; it is the gallery's own until
it is marked as ``moved``, in one transaction, and from then on the other one is. Whoever comes upon
either is led to the one that counts (``reidsearch.catalog.following``).
"""

import json
from collections.abc import Iterable
from dataclasses import asdict

from sqlalchemy import Connection

from reidsearch.catalog import settings
from reidsearch.catalog.database import TableGroup
from reidsearch.catalog.records import Left, Part, Whereabouts
from reidsearch.catalog.settings import Setting


class Residence(TableGroup):
    """Rows of ``setting`` that say where things are."""

    @property
    def moved(self) -> Whereabouts | None:
        """Where the catalog has gone; None where this is it."""
        with self._reading() as db:
            return _whereabouts(settings.read(db, Setting.MOVED))

    @property
    def arriving(self) -> Whereabouts | None:
        """The catalog that this one is being made from; None where it is whole."""
        with self._reading() as db:
            return _whereabouts(settings.read(db, Setting.ARRIVING))

    @property
    def former_home(self) -> str | None:
        """The home of the catalog that this one was made from."""
        with self._reading() as db:
            return settings.read(db, Setting.FORMER)

    @property
    def left(self) -> tuple[Left, ...]:
        """The places that the gallery was moved from, which still hold what they held."""
        with self._reading() as db:
            return _left(db)

    def leave_for(self, there: Whereabouts) -> None:
        """This is the gallery's catalog no more: nothing can be written to it from now on."""
        with self._writing() as db:
            settings.write(db, Setting.MOVED, json.dumps(asdict(there)))

    def arrived(self) -> None:
        """This is the gallery's catalog from now on."""
        with self._writing() as db:
            settings.remove(db, Setting.ARRIVING)

    def move_vectors(self, address: str, *, left: str) -> None:
        """Note that the vectors are at this address now, and that those at another were left."""
        with self._writing() as db:
            settings.write(db, Setting.STORE, address)
            kept = set(_left(db)) - {Left(part=Part.VECTORS, address=address)}
            write_left(db, kept | {Left(part=Part.VECTORS, address=left)})

    def begin_anew(self, key: str, *, vectors: str, former_home: str | None) -> None:
        """Make this copy of a catalog one of its own, named by a key, whose vectors are at that
        address; what an earlier copy of that key claimed, which had another home, is this one's."""
        gone = (Setting.HOME, Setting.FORMER, Setting.ARRIVING, Setting.LEFT)
        with self._writing(once=True) as db:
            settings.remove(db, *gone)
            settings.write(db, Setting.KEY, key)
            settings.write(db, Setting.STORE, vectors)
            if former_home is not None:
                settings.write(db, Setting.FORMER, former_home)

    def removed(self, place: Left) -> None:
        """Note that nothing is left there any more."""
        with self._writing() as db:
            write_left(db, set(_left(db)) - {place})


def write_left(db: Connection, places: Iterable[Left]) -> None:
    """Note which places still hold what was moved from them."""
    found = [[one.part, one.address] for one in sorted(places)]
    if found:
        settings.write(db, Setting.LEFT, json.dumps(found))
    else:
        settings.remove(db, Setting.LEFT)


def _left(db: Connection) -> tuple[Left, ...]:
    found = json.loads(settings.read(db, Setting.LEFT) or "[]")
    return tuple(Left(part=Part(part), address=str(address)) for part, address in found)


def _whereabouts(text: str | None) -> Whereabouts | None:
    if text is None:
        return None
    told = json.loads(text)
    return Whereabouts(address=str(told["address"]), home=str(told["home"]))
