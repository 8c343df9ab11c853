"""Where vectors live: an embedded Qdrant or a Qdrant server, behind one protocol."""

from reidsearch.stores.base import EMBEDDED, Matches, VectorStore, address_of, payload

__all__ = ["EMBEDDED", "Matches", "VectorStore", "address_of", "payload"]
