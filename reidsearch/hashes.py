"""The numbers that stand for an image and for a vector in both stores."""

import hashlib

import numpy as np

from reidsearch.types import Vectors


def image_id(dataset: str, path: str) -> int:
    """The id of an image in both stores: a positive 63-bit integer.

    The first 8 bytes of SHA-256 over the data set's name, a NUL and the relative path. The
    content stays out of it: two identical crops are two sightings.
    """
    digest = hashlib.sha256(f"{dataset}\0{path}".encode()).digest()
    return max(1, int.from_bytes(digest[:8], "big") >> 1)


def checksums(vectors: Vectors) -> list[int]:
    """Of each vector (N x D) a positive 63-bit integer that any other vector hardly has: the first
    bits of BLAKE2b over its bytes."""
    rows = np.ascontiguousarray(vectors, dtype="<f4")
    digests = (hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows)
    return [int.from_bytes(digest, "big") >> 1 for digest in digests]
