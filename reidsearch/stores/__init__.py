"""Where vectors live: an embedded Qdrant or a Qdrant server, behind one protocol."""

from reidsearch.stores.addresses import address_of, is_at
from reidsearch.stores.base import (
    EMBEDDED,
    PAYLOAD_FORM,
    Matches,
    Trouble,
    VectorStore,
    payload,
)

__all__ = [
    "EMBEDDED",
    "PAYLOAD_FORM",
    "Matches",
    "Trouble",
    "VectorStore",
    "address_of",
    "is_at",
    "payload",
]
