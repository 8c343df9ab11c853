"""Find people in rounds: group crops that nobody labelled, fit a layer to the groups, group again.

What the network makes of the crops is computed once. Each round fits the layer to the groups that
there are, finds the tracks of each camera anew in what it makes of the crops, and links a larger
share of them across cameras, the surest first, so that early mistakes stay few (self-paced
learning: Kumar et al., NeurIPS 2010). A round is a function of the one before, and is kept when it
ends.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from reidsearch.errors import UsageError
from reidsearch.files import replacing
from reidsearch.ranking import camera_means
from reidsearch.ranking.arrays import from_npz, to_npz
from reidsearch.types import Ids, Vectors
from train import projection
from train.data import Crops
from train.evaluation import Embed
from train.groups import Groups, Links, Seen, linked, links, tracks, unit
from train.network import Siamese
from train.projection import Projection
from train.recipe import Adaptation

CROPS_AT_ONCE = 256
SAVE_EVERY_SECONDS = 60.0

Record = dict[str, int | float | str]


@dataclass
class State:
    """How far it is: the ``vectors`` of the crops encoded so far, the ``groups`` after ``round``
    rounds (none at first). ``job`` says of which crops, weights and recipe."""

    job: str
    vectors: Vectors
    groups: Groups = field(default_factory=lambda: Groups(*np.empty((2, 0), dtype=np.int64)))
    round: int = 0

    def save(self, path: Path) -> None:
        """Write it; an interrupted write leaves the old one whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        data = to_npz(
            job=np.array(self.job),
            vectors=self.vectors,
            track=self.groups.track,
            person=self.groups.person,
            round=np.array(self.round),
        )
        with replacing(path) as partial:
            partial.write_bytes(data)


def begin(plan: Adaptation, network: Siamese, crops: Crops, seen: Seen, *, path: Path) -> State:
    """The state kept at ``path``, or a new one where there is none.

    Raises UsageError where it belongs to other crops, other weights or another recipe.
    """
    job = hashlib.sha256(json.dumps([plan.as_dict(), crops.paths]).encode())
    weights = (tensor.cpu().numpy() for tensor in network.state_dict().values())
    for part in (crops.images.numpy(), seen.camera, seen.times, *weights):
        job.update(np.ascontiguousarray(part).data)
    if not path.exists():
        empty = np.empty((0, network.dimension), dtype=np.float32)
        return State(job.hexdigest(), empty)
    try:
        kept = from_npz(path.read_bytes())
        groups = Groups(kept["track"], kept["person"])
        state = State(str(kept["job"]), kept["vectors"], groups, int(kept["round"]))
    except (KeyError, OSError, ValueError, BadZipFile) as error:
        raise UsageError(f"{path} holds no groups: {error}") from None
    if state.job != job.hexdigest():
        raise UsageError(
            f"{path} is of other crops, other weights or another recipe",
            hint="Choose another --out.",
        )
    return state


def run(
    state: State, plan: Adaptation, embed: Embed, crops: Crops, seen: Seen, *, path: Path
) -> Iterator[Record]:
    """Encode what is not yet encoded and go through the rounds that are left; yields what to log.

    The state is kept at ``path`` every SAVE_EVERY_SECONDS, and after each round.
    """
    yield from _encode(state, embed, crops, path)
    without_camera = without_cameras(state.vectors, seen.camera)
    begun, first = time.monotonic(), state.round
    while state.round < plan.rounds:
        state.groups, found = _round(state, plan, without_camera, seen)
        state.round += 1
        state.save(path)
        each = (time.monotonic() - begun) / (state.round - first)
        sizes = np.bincount(state.groups.group)
        yield {
            "round": state.round,
            "of": plan.rounds,
            "tracks": len(state.groups.person),
            "links": len(found),
            "linked": len(state.groups.person) - len(sizes),
            "groups": int((sizes > 1).sum()),
            "minutes_left": round(each * (plan.rounds - state.round) / 60, 1),
        }


def surest(state: State, plan: Adaptation, seen: Seen) -> Ids:
    """Of each crop the group (N, from 0) to train on: the last round's tracks, with the surest
    links alone."""
    made = layer(state, plan, seen)(without_cameras(state.vectors, seen.camera))
    track = state.groups.track
    found = links(made, track, seen, plan)
    return linked(track, seen.camera, found[: round(len(found) * plan.surest)]).group


def layer(state: State, plan: Adaptation, seen: Seen) -> Projection:
    """The layer that fits the last groups."""
    plain = without_cameras(state.vectors, seen.camera)
    return projection.fit(state.vectors, plain, seen.camera, state.groups.group, plan)


def agreement(state: State, plan: Adaptation, seen: Seen) -> float:
    """How pure the groups are, as far as that can be told without a label: the share of the links
    found by the network alone that are found again with a layer fitted to the groups of other
    people.

    The groups are divided in two halves at random. What is wrong in the groups of one half does not
    speak for the wrong links in the other; what is right speaks for the right ones. 0 where the
    network finds no link.
    """
    camera, groups = seen.camera, state.groups
    plain = without_cameras(state.vectors, camera)
    by_itself = links(unit(plain - plain.mean(0)), groups.track, seen, plan)
    half = np.random.default_rng(plan.seed).permutation(int(groups.person.max()) + 1) % 2
    again = count = 0
    for side in (0, 1):
        others = half[groups.group] != side
        _, group = np.unique(groups.group[others], return_inverse=True)
        fitted = projection.fit(state.vectors[others], plain[others], camera[others], group, plan)
        pairs = {(a, b) for a, b in links(fitted(plain), groups.track, seen, plan).tolist()}
        mine = [(a, b) for a, b in by_itself.tolist() if half[groups.person[a]] == side]
        again += len(pairs.intersection(mine))
        count += len(mine)
    return again / count if count else 0.0


def without_cameras(vectors: Vectors, camera: Ids) -> Vectors:
    """The vectors (N x D) without what their cameras add, as a gallery takes it out."""
    return camera_means.learn(vectors, camera).adapted(vectors, camera)


def _encode(state: State, embed: Embed, crops: Crops, path: Path) -> Iterator[Record]:
    begun = saved = time.monotonic()
    first = len(state.vectors)
    while len(state.vectors) < len(crops):
        at = np.arange(len(crops)) - len(state.vectors)
        part = crops.subset((at >= 0) & (at < CROPS_AT_ONCE))
        state.vectors = np.concatenate([state.vectors, embed(part)])
        now = time.monotonic()
        if now - saved > SAVE_EVERY_SECONDS or len(state.vectors) == len(crops):
            state.save(path)
            saved = now
        speed = (len(state.vectors) - first) / (now - begun)
        yield {
            "encoded": len(state.vectors),
            "of": len(crops),
            "images_per_second": round(speed, 1),
            "minutes_left": round((len(crops) - len(state.vectors)) / speed / 60, 1),
        }


def _round(
    state: State, plan: Adaptation, without_camera: Vectors, seen: Seen
) -> tuple[Groups, Links]:
    """The next groups, and the links that there were to choose from."""
    if state.round:
        fitted = projection.fit(
            state.vectors, without_camera, seen.camera, state.groups.group, plan
        )
        made = fitted(without_camera)
        track = tracks(made, seen.camera, plan)
    else:
        plain = unit(without_camera - without_camera.mean(0))
        track = tracks(plain, seen.camera, plan)
        fitted = projection.fit(state.vectors, without_camera, seen.camera, track, plan)
        made = fitted(without_camera)
    found = links(made, track, seen, plan)
    surest = round(len(found) * (state.round + 1) / plan.rounds)
    return linked(track, seen.camera, found[:surest]), found
