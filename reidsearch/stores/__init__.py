"""Where vectors live: an embedded Qdrant or a Qdrant server, behind one protocol."""

from reidsearch.stores.base import (
    EMBEDDED,
    PAYLOAD_FORM,
    Matches,
    VectorStore,
    address_of,
    is_at,
    payload,
)

__all__ = ["EMBEDDED", "PAYLOAD_FORM", "Matches", "VectorStore", "address_of", "is_at", "payload"]
