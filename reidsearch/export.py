"""Write the stored vectors and what is known of them to one .npz file."""

from pathlib import Path

import numpy as np

from reidsearch.collection import Collection
from reidsearch.errors import UsageError
from reidsearch.files import replacing


def export(collection: Collection, out: Path) -> dict[str, int]:
    """Write arrays id, vector (N x D), path, identity, camera, sequence, frame, split to ``out``.

    Rows are in id order. Identity -1 is junk, 0 a distractor; -2 stands for "not known" in every
    integer column. Returns the number of images, in all and by split. The file appears whole or
    not at all. Raises UsageError where its name does not end in .npz.
    """
    if out.suffix != ".npz":
        raise UsageError(f"{out} does not end in .npz", hint="Name it like gallery.npz.")
    stored, vectors = collection.load()
    with replacing(out) as partial, partial.open("wb") as file:
        np.savez(
            file,
            id=stored.ids,
            vector=vectors,
            path=stored.path,
            identity=stored.identity,
            camera=stored.camera,
            sequence=stored.sequence,
            frame=stored.frame,
            split=stored.split,
        )
    splits, counts = np.unique(stored.split, return_counts=True)
    return {"images": len(stored), **dict(zip(splits.tolist(), counts.tolist(), strict=True))}
