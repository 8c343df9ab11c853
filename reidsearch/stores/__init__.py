"""Where vectors live: an embedded Qdrant or a Qdrant server, behind one protocol."""

from reidsearch.stores.base import Match, VectorStore, payload

__all__ = ["Match", "VectorStore", "payload"]
