"""Where a gallery is to be, in the words that people give."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from reidsearch.catalog import schema
from reidsearch.errors import UsageError
from reidsearch.settings import CATALOG_SCHEMES, CatalogUrl
from reidsearch.stores import EMBEDDED, address_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a gallery is to be: its ``vectors`` at EMBEDDED or a server's address, its ``catalog``
    at EMBEDDED or a server's URL; None where that part is to stay."""

    vectors: str | None
    catalog: CatalogUrl | str | None


def places(to: Sequence[str]) -> Places:
    """What these words mean: an http:// or https:// address a Qdrant server, a postgresql:// URL a
    database, EMBEDDED the data dir, for whatever has no place of its own among them.

    Raises UsageError where they mean nothing, or two places for one part; StoreError on an address
    that cannot be one.
    """
    vectors: list[str] = []
    catalogs: list[CatalogUrl] = []
    for word in to:
        if word == EMBEDDED:
            continue
        if urlsplit(word).scheme in CATALOG_SCHEMES:
            schema.address_of(word)
            catalogs.append(CatalogUrl(word))
        else:
            if "@" in word.split("://")[-1].split("/")[0]:
                raise UsageError(
                    "the Qdrant server's address holds a user or a password",
                    hint="Write it without, and put the server's key into "
                    "REIDSEARCH_QDRANT_API_KEY.",
                )
            vectors.append(address_of(word))
    if not to or len(vectors) > 1 or len(catalogs) > 1:
        raise UsageError(
            "it takes a place to move to, and one at most for vectors and for the catalog",
            hint="{to} is the address of a Qdrant server, the URL of a PostgreSQL database, or "
            "embedded: the data dir.",
        )
    rest = EMBEDDED if EMBEDDED in to else None
    return Places(
        vectors=vectors[0] if vectors else rest, catalog=catalogs[0] if catalogs else rest
    )
