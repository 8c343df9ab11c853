"""Write the stored vectors and what is known of them to one .npz file."""

from pathlib import Path

import numpy as np

from reidsearch.gallery import Gallery


def export(gallery: Gallery, out: Path) -> dict[str, int]:
    """Write arrays id, vector (N x D), path, identity, camera, sequence, frame, split to ``out``.

    Rows are in id order. Identity -1 is junk, 0 a distractor; -2 stands for "not known" in every
    integer column. Returns the number of images, in all and by split. The file appears whole or
    not at all.
    """
    stored, vectors = gallery.load()
    partial = out.with_name(out.name + ".partial")
    try:
        with partial.open("wb") as file:
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
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    splits, counts = np.unique(stored.split, return_counts=True)
    return {"images": len(stored), **dict(zip(splits.tolist(), counts.tolist(), strict=True))}
