"""What expanded vectors are made with beside the images themselves: what cameras add, and in which
cells neighbours are looked for. Both were learned at one moment, and are kept."""

import functools
import hashlib
from dataclasses import dataclass

from reidsearch.catalog import ExpansionRecord
from reidsearch.ranking import camera_means, cells
from reidsearch.ranking.camera_means import CameraMeans
from reidsearch.ranking.cells import Cells, Division, Pairing
from reidsearch.types import Ids, Vectors


@dataclass(frozen=True)
class Basis:
    """The camera ``means``, and the ``cells``, None where all pairs are compared."""

    means: CameraMeans
    cells: Cells | None

    @property
    def pairing(self) -> Pairing:
        return Pairing.ALL if self.cells is None else Pairing.CELLS

    def outgrown(self, camera: Ids) -> bool:
        """Whether a gallery of N images from these cameras (N) is to be learned from anew: a camera
        has outgrown its means, or the gallery its cells, or the comparison of all pairs."""
        if Pairing.of(len(camera)) is not self.pairing or self.means.outgrown(camera):
            return True
        return self.cells is not None and self.cells.outgrown(len(camera))

    def divide(self, vectors: Vectors) -> Division | None:
        """In which cells each of N vectors, without what cameras add (N x D), looks; None where all
        pairs are compared."""
        return None if self.cells is None else self.cells.divide(vectors)

    def to_bytes(self) -> tuple[bytes, bytes | None]:
        """Means and cells; those of the same are the same."""
        return self.means.to_bytes(), None if self.cells is None else self.cells.to_bytes()


def learn(vectors: Vectors, camera: Ids) -> Basis:
    """From a gallery's N vectors (N x D), in the order of their images' ids, and their cameras
    (N)."""
    means = camera_means.learn(vectors, camera)
    size = len(vectors)
    if Pairing.of(size) is Pairing.ALL:
        return Basis(means, None)
    few = slice(cells.SAMPLED * cells.enough(size))
    return Basis(means, cells.learn(means.adapted(vectors[few], camera[few]), images=size))


@functools.lru_cache(maxsize=1)  # every query needs it, and it seldom changes
def of(record: ExpansionRecord) -> Basis | None:
    """That of some expanded vectors; None where it is missing, or not what was noted."""
    if record.means is None or not record.form.endswith(digest(record.means, record.cells)):
        return None
    found = None if record.cells is None else Cells.from_bytes(record.cells)
    return Basis(CameraMeans.from_bytes(record.means), found)


def digest(means: bytes, cells: bytes | None) -> str:
    """A text that is another for any other basis."""
    return hashlib.blake2b(means + (cells or b""), digest_size=8).hexdigest()
