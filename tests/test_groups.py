"""People among crops that nobody labelled, against drawn ones whose people are known."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch

from reidsearch.errors import UsageError
from reidsearch.ranking.clock import SECONDS, Clock
from reidsearch.types import Ids, Labels, Vectors
from train import groups, projection, recipe, rounds
from train.data import Crops
from train.groups import Seen
from train.network import Siamese
from train.recipe import Adaptation

SIZE = 48


def plan(**changes: object) -> Adaptation:
    found = recipe.load("adapt", **changes)
    assert isinstance(found, Adaptation)
    return found


def crowd(
    people: int = 30,
    cameras: int = 2,
    crops: int = 8,
    *,
    noise: float = 0.05,
    strangers: bool = False,
) -> tuple[Vectors, Seen, Ids]:
    """Vectors of people around whose own direction crops scatter, moved by what a camera adds, and
    who they are. Where they are ``strangers`` to each other, nobody is at two cameras."""
    rng = np.random.default_rng(people + cameras)
    own = rng.normal(size=(people * (cameras if strangers else 1), SIZE)) / SIZE**0.5
    added = rng.normal(size=(cameras, SIZE)) / SIZE**0.5
    identity = np.tile(np.repeat(np.arange(people), crops), cameras)
    camera = np.repeat(np.arange(1, cameras + 1), people * crops)
    if strangers:
        identity += people * (camera - 1)
    made = own[identity] + added[camera - 1] + noise * rng.normal(size=(len(identity), SIZE))
    return groups.unit(made), Seen(camera, np.full(len(camera), np.nan), None), identity


def plain(vectors: Vectors, seen: Seen) -> Vectors:
    made = rounds.without_cameras(vectors, seen.camera)
    return groups.unit(made - made.mean(0))


def through(vectors: Vectors, seen: Seen, how: Adaptation) -> rounds.State:
    """All rounds, without a network."""
    state = rounds.State("", vectors)
    none = Crops(torch.empty(0), Labels(seen.camera, seen.camera), [], Path())
    with TemporaryDirectory() as folder:
        path = Path(folder) / "state"
        list(rounds.run(state, how, lambda _: vectors[:0], none, seen, path=path))
    return state


def test_a_track_is_one_persons_crops_at_one_camera() -> None:
    vectors, seen, identity = crowd()
    all_seven_others = plan(k1=7)
    track = groups.tracks(plain(vectors, seen), seen.camera, all_seven_others)
    _, expected = np.unique(identity * 10 + seen.camera, return_inverse=True)
    pairs = set(zip(track.tolist(), expected.tolist(), strict=True))
    assert len(pairs) == len(set(track.tolist())) == len(set(expected.tolist())) == 60


def test_a_crop_that_is_like_no_other_is_a_track_by_itself_and_a_camera_may_have_one_crop() -> None:
    vectors, seen, _ = crowd()
    rows = np.flatnonzero(seen.camera == 1)[:-7]  # one crop of the last person
    rows = np.append(rows, len(vectors) - 1)
    track = groups.tracks(vectors[rows], seen.camera[rows], plan())
    assert track[-2] not in track[:-2]
    assert track[-1] not in track[:-1]
    assert sorted(set(track.tolist())) == list(range(31))


def test_links_join_tracks_of_one_person_the_surest_first() -> None:
    vectors, seen, identity = crowd(noise=0.12)
    _, track = np.unique(identity * 10 + seen.camera, return_inverse=True)
    found = groups.links(plain(vectors, seen), track, seen, plan())
    right = [a // 2 == b // 2 for a, b in found.tolist()]  # tracks come by person, then camera
    assert np.mean(right) > 0.8
    assert all(right[:10])


def test_what_is_nearest_counts_less_how_near_it_is_to_everybody() -> None:
    """With one neighbour: twice the cosine less that of the best at the other camera, both ways."""
    rng = np.random.default_rng(4)
    vectors = groups.unit(rng.normal(size=(24, 6)))
    camera, track = np.repeat([1, 2], 12), np.arange(24)
    seen = Seen(camera, np.full(24, np.nan), None)
    cosines = (vectors[:12] @ vectors[12:].T).astype(np.float64)
    score = 2 * cosines - cosines.max(1)[:, None] - cosines.max(0)
    expected = {
        (i, 12 + j)
        for i in range(12)
        for j in range(12)
        if score[i].argmax() == j and score[:, j].argmax() == i
    }
    found = groups.links(vectors, track, seen, plan(near=1))
    assert {tuple(pair) for pair in found.tolist()} == expected


def test_nobody_is_linked_to_two_tracks_of_one_camera() -> None:
    track, camera = np.arange(5), np.array([1, 2, 3, 1, 2])
    made = groups.linked(track, camera, np.array([[0, 1], [1, 2], [2, 3], [3, 4]]))
    # 3 is at camera 1 as 0 is, so it does not join 0, 1 and 2.
    assert made.person[0] == made.person[1] == made.person[2]
    assert made.person[3] == made.person[4] != made.person[0]
    assert sorted(set(made.person.tolist())) == [0, 1]


def test_times_between_cameras_tell_people_apart_who_look_alike() -> None:
    rng = np.random.default_rng(7)
    vectors, seen, identity = crowd(people=40)
    vectors = np.repeat(vectors[::16], 16, axis=0)  # people in pairs that look the same
    start = rng.uniform(0, 40_000, 40)
    times = start[identity] + 60.0 * (seen.camera - 1) + rng.uniform(0, 3, len(identity))
    _, track = np.unique(identity * 10 + seen.camera, return_inverse=True)
    noisy = groups.unit(vectors + 0.02 * rng.normal(size=vectors.shape))

    def right(how: Seen) -> int:
        found = groups.links(plain(noisy, how), track, how, plan())
        return sum(a // 2 == b // 2 for a, b in found.tolist())

    timed = replace(seen, times=times, clock=Clock(SECONDS, {}))
    assert right(timed) > 1.3 * right(seen)


def test_a_layer_solves_fishers_problem_and_takes_cameras_out() -> None:
    from scipy.linalg import eigh

    vectors, seen, identity = crowd(noise=0.1)
    how = plan(dimension=5, shrunk=0.0, cameras=1e4)
    without = rounds.without_cameras(vectors, seen.camera)
    made = projection.fit(vectors, without, seen.camera, identity, how)
    one, two = (vectors[seen.camera == c].mean(0) for c in (1, 2))
    centres = np.stack([without[identity == i].mean(0) for i in range(30)]).astype(np.float64)
    rest = without - centres[identity]
    within = rest.T @ rest / len(rest) + 1e4 * np.outer(one - two, one - two) / 4
    spread = centres - centres.mean(0)
    values, directions = eigh(spread.T @ spread / 30, within)
    expected = directions[:, ::-1][:, :5]
    np.testing.assert_allclose(
        np.abs((made.matrix * (within @ expected)).sum(0)), 1, rtol=0.01
    )  # up to the sign
    assert values[-1] > values[-5] > 0
    # What the camera adds is nothing beside what people differ by.
    moved = np.linalg.norm((one - two) @ made.matrix)
    assert moved < 0.05 * np.linalg.norm((centres @ made.matrix).std(0))


def test_rounds_find_the_people_and_a_layer_that_finds_them_without_knowing_cameras() -> None:
    vectors, seen, identity = crowd(people=40, cameras=3, noise=0.12)
    how = plan(dimension=24)
    state = through(vectors, seen, how)
    same = identity[:, None] == identity
    grouped = state.groups.group[:, None] == state.groups.group
    assert same[grouped].mean() > 0.9
    assert grouped[same].mean() > 0.7
    across = seen.camera[:, None] != seen.camera

    def found(made: Vectors) -> float:
        """How often the nearest at another camera is the person."""
        cosines = np.where(across, made @ made.T, -2)
        return float((identity[cosines.argmax(1)] == identity).mean())

    assert found(rounds.layer(state, how, seen)(vectors)) > max(0.98, found(vectors))


def test_groups_confirm_each_other_where_cameras_see_the_same_people_and_not_elsewhere() -> None:
    how = plan(dimension=16)

    def confirmed(vectors: Vectors, seen: Seen) -> float:
        return rounds.agreement(through(vectors, seen, how), how, seen)

    vectors, seen, _ = crowd(noise=0.05)
    assert confirmed(vectors, seen) > 0.9
    rng = np.random.default_rng(0)
    noise = groups.unit(rng.normal(size=vectors.shape))
    assert confirmed(noise, seen) < how.agreement
    one = Seen(np.ones(len(vectors), dtype=np.int64), seen.times, None)
    assert confirmed(vectors, one) == 0.0


def test_rounds_that_were_cut_go_on_to_the_same_groups_and_others_are_refused(
    tmp_path: Path,
) -> None:
    vectors, seen, _ = crowd(noise=0.12)
    network = Siamese(identities=2, width=0.25)
    images = torch.zeros(len(vectors), 4, 2, 3, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(len(vectors)) % 250
    labels = Labels(seen.camera, seen.camera)
    crops = Crops(images, labels, [f"{i:03}" for i in range(len(vectors))], Path())
    asked = []

    def embed(part: Crops) -> Vectors:
        asked.append(len(part))
        made = vectors[[int(path) for path in part.paths]]
        padded: Vectors = np.pad(made, ((0, 0), (0, network.dimension - SIZE)))
        return padded

    def begin(name: str, how: Adaptation) -> rounds.State:
        return rounds.begin(how, network, crops, seen, path=tmp_path / name)

    how = plan(dimension=16)
    whole = begin("whole", how)
    records = list(rounds.run(whole, how, embed, crops, seen, path=tmp_path / "whole"))
    assert [r["round"] for r in records if "round" in r] == list(range(1, how.rounds + 1))
    assert all({"of", "minutes_left"} <= r.keys() for r in records)
    assert records[-1]["minutes_left"] == 0

    cut = begin("cut", how)
    running = rounds.run(cut, how, embed, crops, seen, path=tmp_path / "cut")
    while next(running).get("round") != 3:  # and no further: as if it were killed
        pass
    asked.clear()
    resumed = begin("cut", how)
    assert resumed.round == 3
    list(rounds.run(resumed, how, embed, crops, seen, path=tmp_path / "cut"))
    assert not asked  # nothing is encoded twice
    np.testing.assert_array_equal(resumed.groups.group, whole.groups.group)
    with pytest.raises(UsageError, match="other crops"):
        begin("cut", plan(dimension=17))
    (tmp_path / "cut").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="holds no groups"):
        begin("cut", how)
