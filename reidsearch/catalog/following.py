"""Which catalog is the gallery's, where it was moved: whoever opens one it has left is led on."""

from collections.abc import Callable
from pathlib import Path

from reidsearch.catalog import Catalog, schema
from reidsearch.catalog.records import Whereabouts
from reidsearch.errors import CatalogMoved

FILE = "file:"  # what the address of a catalog in a data dir begins with


def whereabouts(catalog: Catalog) -> Whereabouts:
    """Where a catalog is, as others note it."""
    database = catalog.database
    address = database.address if database.shared else f"{FILE}{Path(database.address).absolute()}"
    return Whereabouts(address=address, home=database.again(database.identity))


def followed(opened: Catalog, *, file: Path, url_of: Callable[[str], str], purpose: str) -> Catalog:
    """The catalog that counts: the one that was ``opened``, or the one that it has left for, or
    that it is still being made from; the other is closed then.

    ``file`` is where the data dir's catalog is, where it has one, and ``url_of`` gives the URL of
    an address, which may have a password that addresses lack. Raises CatalogMoved where the other
    is not to be had here, and as ``schema.open_catalog`` and ``schema.find_shared`` do.
    """
    there = opened.residence.moved
    source = opened.residence.arriving if there is None else None
    other = there or source
    if other is None:
        return opened
    try:
        found = _found(other, key=opened.key, file=file, url_of=url_of, purpose=purpose)
    except BaseException:
        opened.close()
        raise
    if found is None:
        address = opened.database.address
        opened.close()
        where = other.address.removeprefix(FILE)
        raise CatalogMoved(
            f"the catalog at {address} was moved to {where}"
            if there is not None
            else f"the catalog at {address} is not whole: it is being moved from {where}",
            hint="Open the gallery there: {data_dir} is the folder of its file, {catalog_url} its "
            "address on a server. A move that was cut short goes on where it began.",
        )
    if there is not None:
        if found.residence.arriving is not None:  # cut short after all was done
            found.residence.arrived()
        opened.close()
        return found
    if found.residence.moved == whereabouts(opened):
        opened.residence.arrived()
        found.close()
        return opened
    opened.close()
    return found


def _found(
    place: Whereabouts, *, key: str, file: Path, url_of: Callable[[str], str], purpose: str
) -> Catalog | None:
    """The catalog there, where it is the one that is meant."""
    if place.address.startswith(FILE):
        found = schema.open_catalog(file) if file.exists() else None
    else:
        found = schema.find_shared(url_of(place.address), purpose=purpose)
    if found is None:
        return None
    if found.key != key or whereabouts(found).home != place.home:
        found.close()
        return None
    return found
