"""A few images more, or fewer, among many: which expanded vectors change, and what they carry.

Nothing is read but what the catalog keeps of all (``carried``), the rough copies of those that may
be neighbours of new ones, or have them as neighbours, and the vectors of those of which the copies
leave that open. What comes out is what all vectors from scratch would give: copies tell for certain
who is too far away, and scores are those of the vectors in full.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reidsearch.catalog import ExpandedPart
from reidsearch.learning import carried
from reidsearch.learning.basis import Basis
from reidsearch.learning.carried import Carried
from reidsearch.ranking import expansion
from reidsearch.ranking.arrays import groups
from reidsearch.ranking.cells import Division
from reidsearch.ranking.expansion import NONE, Neighbours, Pool
from reidsearch.ranking.knn import ROUNDING
from reidsearch.ranking.ranking import Ranking, Sighted
from reidsearch.ranking.rough import Codes, Rough
from reidsearch.types import Ids, Vectors
from reidsearch.vectors.collection import Collection

READ = 8  # parts whose copies are read, and looked through, at once
SCORES = 1 << 22  # and the most scores that are held at once: 16 MB, and a few times that beside


@dataclass(frozen=True)
class Increment:
    """All images as they are ``now``; at which positions those are whose expanded vectors are
    others than before (``changed``, C, ascending), their ``own`` vectors without what cameras add
    (C x D), the ``lists`` of their neighbours, which are positions in ``vectors``; and the
    ``parts`` that are to be recorded anew."""

    now: Carried
    changed: Ids
    own: Vectors
    lists: Neighbours
    vectors: Vectors
    parts: list[ExpandedPart]


def find(
    collection: Collection,
    ranking: Ranking,
    known: Basis,
    before: Carried,
    *,
    due: Ids,
    lost: Ids,
) -> Increment | None:
    """Of a gallery that was as ``before``, where the images ``due`` came or changed, and those
    ``lost`` changed or went (ids, both ascending). None where it has outgrown its basis.

    Raises EmptyGallery where the vector store lacks some of what the catalog lists.
    """
    stored = collection.catalog.images.stored(collection.encoder_id, ids=due.tolist())
    vectors = known.means.adapted(collection.vectors(stored.ids), stored.labels.camera)
    rough = Rough.of(vectors)
    nobody = expansion.nobody(len(stored), before.nearest.shape[1])
    new = Carried.of(stored, ranking, known.divide(vectors), nobody).copied(rough)
    left = np.flatnonzero(~_among(before.ids, lost))
    now = (before if len(left) == len(before) else before[left]).with_those(new)
    if known.outgrown(now.seen.camera):
        return None
    fresh = np.searchsorted(now.ids, new.ids)
    anew = np.zeros(len(now), dtype=bool)
    if len(left) < len(before):  # else nobody's neighbour has gone
        anew |= _among(now.nearest, lost).any(axis=1)
    anew[fresh] = True
    reader = _Reader(collection, known, now, fresh, vectors)
    search = _Search(
        now, ranking, carried.sites(collection, now.dataset), np.flatnonzero(anew), fresh, reader
    )
    copies = _Copies(collection, before, now, fresh, rough)
    for some in copies.of(search.parts):
        search.look(some)
    changed, found = search.settled()
    now.nearest[changed] = np.where(found.nearest == NONE, NONE, now.ids[found.nearest])
    now.scores[changed] = found.scores
    reader.read(np.union1d(changed, found.nearest[found.nearest != NONE]))
    return Increment(
        now,
        changed,
        reader.at(changed),
        Neighbours(_positions(found.nearest, reader.there), found.scores),
        reader.vectors,
        copies.parts(changed),
    )


def _positions(wanted: Ids, there: Ids) -> Ids:
    """Where each of ``wanted`` is in ``there``, which ascend and have it; NONE where it is that."""
    return np.where(wanted == NONE, NONE, np.searchsorted(there, wanted))


def _among(ids: Ids, some: Ids) -> NDArray[np.bool_]:
    """Which of many are among some few, which ascend: numpy would sort the many."""
    if not len(some):
        return np.zeros(ids.shape, dtype=bool)
    found: NDArray[np.bool_] = some[np.minimum(np.searchsorted(some, ids), len(some) - 1)] == ids
    return found


class _Reader:
    """The ``vectors``, without what cameras add, of the images that they were needed of, at the
    positions ``there``, ascending."""

    def __init__(
        self, collection: Collection, known: Basis, now: Carried, there: Ids, vectors: Vectors
    ) -> None:
        self.there, self.vectors = there, vectors
        self._collection, self._known, self._now = collection, known, now

    def read(self, wanted: Ids) -> None:
        """Have those at these positions, too."""
        missing = np.setdiff1d(wanted, self.there)
        if len(missing):
            found = self._collection.vectors(self._now.ids[missing])
            self._known.means.adapted(found, self._now.seen.camera[missing], out=found)
            there = np.concatenate([self.there, missing])
            order = np.argsort(there)
            self.there, self.vectors = there[order], np.concatenate([self.vectors, found])[order]

    def at(self, rows: Ids) -> Vectors:
        """Those at these positions, which were read."""
        found: Vectors = self.vectors[np.searchsorted(self.there, rows)]
        return found


class _Part(NamedTuple):
    """The images of a ``part``, by their positions (``members``, ascending), and their copies."""

    part: int
    members: Ids
    rough: Rough


class _Copies:
    """Rough copies of vectors: those that the catalog keeps, and those of the images that are
    ``fresh`` (positions in ``now``, ascending)."""

    def __init__(
        self, collection: Collection, before: Carried, now: Carried, fresh: Ids, rough: Rough
    ) -> None:
        self._collection = collection
        self._before, self._then = before, groups(before.parts)
        self._now, self._rows = now, groups(now.parts)
        self._fresh, self._rough = fresh, rough

    def of(self, parts: Ids) -> Iterator[list[_Part]]:
        """Those of these parts that anybody is in now, some at a time."""
        there = [part for part in parts.tolist() if part in self._rows]
        for start in range(0, len(there), READ):
            some = there[start : start + READ]
            kept = self._collection.catalog.expansions.copies(self._collection.encoder_id, some)
            yield [self._put_together(part, kept.get(part, b"")) for part in some]

    def _put_together(self, part: int, kept: bytes) -> _Part:
        rows = self._rows[part]
        dimension = self._rough.codes.shape[1]
        then = self._before.ids[self._then.get(part, rows[:0])]
        codes: Codes = np.frombuffer(kept, dtype=np.int8).reshape(len(then), dimension)
        ids, new = self._now.ids[rows], _among(rows, self._fresh)
        if new.any() or len(then) != len(rows):
            whole = np.empty((len(rows), dimension), dtype=np.int8)
            whole[new] = self._rough.codes[np.searchsorted(self._fresh, rows[new])]
            whole[~new] = codes[np.searchsorted(then, ids[~new])]
            codes = whole
        return _Part(part, rows, Rough(codes, self._now.step[rows], self._now.error[rows]))

    def parts(self, changed: Ids) -> list[ExpandedPart]:
        """The parts that are to be recorded anew where those at the positions ``changed``, and all
        that are fresh, carry others now."""
        stayed = np.delete(self._now.ids, self._fresh)
        lost = self._before.parts[~_among(self._before.ids, stayed)]
        others = np.union1d(lost, self._now.parts[self._fresh])
        every = (one for some in self.of(others) for one in some)
        codes = {one.part: one.rough.codes.tobytes() for one in every}
        return [
            ExpandedPart(
                part=part,
                images=self._now[self._rows.get(part, changed[:0])].to_bytes(),
                copies=codes.get(part),
            )
            for part in np.union1d(others, self._now.parts[changed]).tolist()
        ]


class _Search:
    """The lists of those at the positions ``alone`` (A, ascending), made anew; and whose list gets
    one of those in it that are ``fresh`` (F) among them. ``parts`` are to be looked through."""

    def __init__(
        self,
        now: Carried,
        ranking: Ranking,
        site: Ids,
        alone: Ids,
        fresh: Ids,
        reader: _Reader,
    ) -> None:
        self._now, self._ranking, self._site = now, ranking, site
        self._alone, self._reader = alone, reader
        reader.read(alone)
        self._vectors = reader.at(alone)
        self._bars = np.full(len(alone), -np.inf, dtype=np.float32)  # of the nearest so far
        # Whose lists stay takes one that is nearer than its last.
        self._least = now.scores[:, -1] - np.float32(ROUNDING)
        self._least[alone] = np.inf
        self._own: list[tuple[Ids, Ids, Vectors, Vectors]] = []
        self._others: list[tuple[Ids, Ids]] = []
        at = np.searchsorted(alone, fresh)
        self._lookers: dict[int, Ids] | None = None
        self._homes = {NONE: at}  # where all pairs are compared, all are at home in one
        if now.looked.shape[1]:
            self._lookers = Division(now.looked[alone], 0).lookers(np.arange(len(alone)))
            self._homes = {cell: at[some] for cell, some in groups(now.looked[fresh, 0]).items()}
            self._home = np.zeros(now.looked.max(initial=0) + 1, dtype=bool)
            self._home[now.looked[fresh, 0]] = True
            guests = self._home[now.looked].any(axis=1)
            parts = {*self._lookers, *now.parts[guests].tolist()}
            self.parts = np.array(sorted(parts), dtype=np.int64)
        else:
            self.parts = np.unique(now.parts)  # all

    def look(self, parts: list[_Part]) -> None:
        """Look through some parts."""
        every = np.arange(len(self._alone))
        lookers = [
            every if self._lookers is None else self._lookers.get(one.part, every[:0])
            for one in parts
        ]
        homes = [self._guests(one.members) for one in parts]
        met = [*lookers, *(at for some in homes for at, _ in some)]
        rows = np.unique(np.concatenate(met))
        members = np.concatenate([one.members for one in parts])
        rough = Rough.joined([one.rough for one in parts])
        step = max(1, SCORES // len(members))
        for start in range(0, len(rows), step):
            some = rows[start : start + step]
            upper, lower = self._bounds(some, members, rough)
            end = 0
            for one, looking, guests in zip(parts, lookers, homes, strict=True):
                of = slice(end, end := end + len(one.members))
                own = np.flatnonzero(_among(some, looking))
                self._look_for(some[own], one.members, upper[own, of], lower[own, of])
                for at, there in guests:
                    offered = np.flatnonzero(_among(some, at))
                    block = upper[offered[:, None], of.start + there]
                    self._offer(some[offered], one.members[there], block)

    def _guests(self, members: Ids) -> list[tuple[Ids, Ids]]:
        """Fresh ones, places in ``alone``, and which of these images may have them in their
        lists."""
        kept = self._least[members] < np.inf
        if self._lookers is None:
            return [(self._homes[NONE], np.flatnonzero(kept))]
        looked = self._now.looked[members]
        found = []
        for cell in np.unique(looked[self._home[looked]]).tolist():
            there = np.flatnonzero(kept & (looked == cell).any(axis=1))
            found.append((self._homes[cell], there))
        return found

    def _look_for(self, mine: Ids, members: Ids, upper: Vectors, lower: Vectors) -> None:
        """Note which of these may be among the nearest of ``mine``, places in ``alone``."""
        if not len(mine):
            return
        k = self._now.nearest.shape[1]
        if len(members) > k:
            nearest = np.partition(lower, -k, axis=1)[:, -k]
            self._bars[mine] = np.maximum(self._bars[mine], nearest)
        row, column = np.nonzero((upper >= self._bars[mine, None]) & np.isfinite(upper))
        self._own.append((mine[row], members[column], upper[row, column], lower[row, column]))

    def _offer(self, mine: Ids, members: Ids, upper: Vectors) -> None:
        """Note in whose lists ``mine`` may be, places in ``alone``."""
        row, column = np.nonzero((upper >= self._least[members]) & np.isfinite(upper))
        self._others.append((members[column], self._alone[mine[row]]))

    def _bounds(self, mine: Ids, members: Ids, rough: Rough) -> tuple[Vectors, Vectors]:
        """What the scores are at most and at least: -inf across sites, and of each with itself."""
        cosines = rough.cosines(self._vectors[mine])
        rows = self._alone[mine]
        added = self._ranking.added(self._seen(rows), self._seen(members))
        apart = self._site[rows, None] != self._site[members]
        apart |= rows[:, None] == members
        added[apart] = -np.inf
        upper: Vectors = np.minimum(cosines + rough.error, 1) + added
        lower: Vectors = np.minimum(cosines - rough.error, 1) + added
        return upper, lower

    def _seen(self, rows: Ids) -> Sighted:
        return self._now.seen.at(rows)

    def settled(self) -> tuple[Ids, Neighbours]:
        """Whose lists are others now, as positions, ascending, and what they are then: positions,
        too."""
        k = self._now.nearest.shape[1]
        row, near = self._may_be_nearest(k)
        member, fresh = (
            (np.concatenate(some) for some in zip(*self._others, strict=True))
            if self._others
            else (row[:0], row[:0])
        )
        self._reader.read(np.unique(np.concatenate([near, member])))
        there = self._reader.there
        pool = Pool(self._reader.vectors, self._site[there], self._seen(there), self._ranking)

        def scores(a: Ids, b: Ids) -> Vectors:
            return pool.scores(np.searchsorted(there, a), np.searchsorted(there, b))

        mine = scores(self._alone[row], near)
        alone = expansion.first(len(self._alone), row, near, mine, k=k)
        touched, of = np.unique(member, return_inverse=True)
        ids = self._now.nearest[touched]
        old = np.where(ids == NONE, NONE, np.searchsorted(self._now.ids, ids))
        at, nth = np.nonzero(old != NONE)
        others = expansion.first(
            len(touched),
            np.concatenate([at, of]),
            np.concatenate([old[at, nth], fresh]),
            np.concatenate([self._now.scores[touched][at, nth], scores(member, fresh)]),
            k=k,
        )
        better = np.flatnonzero((others.nearest != old).any(axis=1))
        changed = np.concatenate([self._alone, touched[better]])
        order = np.argsort(changed)
        nearest = np.concatenate([alone.nearest, others.nearest[better]])
        both = np.concatenate([alone.scores, others.scores[better]])
        return changed[order], Neighbours(nearest[order], both[order])

    def _may_be_nearest(self, k: int) -> tuple[NDArray[np.intp], Ids]:
        """Places in ``alone``, and who may be among the k nearest of each: positions."""
        if not self._own:
            return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.int64)
        row, near, upper, lower = (np.concatenate(some) for some in zip(*self._own, strict=True))
        order = np.lexsort((-lower, row))
        row, near, upper, lower = row[order], near[order], upper[order], lower[order]
        last = np.searchsorted(row, np.arange(len(self._alone))) + k - 1
        bars = np.full(len(self._alone), -np.inf, dtype=np.float32)
        full = np.bincount(row, minlength=len(self._alone)) >= k
        bars[full] = lower[last[full]]
        kept = upper >= bars[row]
        return row[kept], near[kept]
