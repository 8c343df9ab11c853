"""The drawn data set: its layout, and that the same seed draws the same pictures."""

import re
from pathlib import Path

import pytest
from PIL import Image

from reidsearch.demo import pedestrians

NAME = re.compile(r"(-1|\d{4})_c(\d)s(\d)_(\d{6})_(\d{2})\.jpg")
IDENTITIES, CAMERAS = 6, 3


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("drawn")
    pedestrians.draw_dataset(root, identities=IDENTITIES, cameras=CAMERAS)
    return root


def pictures(root: Path, folder: str = "*") -> list[Path]:
    return sorted(root.glob(f"{folder}/*.jpg"))


def parts(path: Path) -> tuple[int, int]:
    """Identity and camera."""
    found = NAME.fullmatch(path.name)
    assert found is not None, path.name
    return int(found[1]), int(found[2])


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in pictures(root)}


def test_the_same_seed_draws_the_same_bytes(tmp_path: Path) -> None:
    for name in ("once", "again"):
        pedestrians.draw_dataset(tmp_path / name, identities=2, cameras=2, seed=7)
    assert contents(tmp_path / "once") == contents(tmp_path / "again")


def test_another_seed_draws_other_pictures(tmp_path: Path) -> None:
    for seed in (1, 2):
        pedestrians.draw_dataset(tmp_path / str(seed), identities=2, cameras=2, seed=seed)
    one, two = (set(contents(tmp_path / str(seed)).values()) for seed in (1, 2))
    assert one.isdisjoint(two)


def test_every_identity_has_one_query_and_a_gallery_image_from_another_camera(drawn: Path) -> None:
    queries = [parts(path) for path in pictures(drawn, "query")]
    gallery = {parts(path) for path in pictures(drawn, "bounding_box_test")}
    assert [identity for identity, _ in queries] == list(range(1, IDENTITIES + 1))
    for identity, camera in queries:
        assert any(i == identity and c != camera for i, c in gallery)


def test_people_to_train_on_are_others_seen_by_two_cameras_and_leave_the_test_split_as_it_is(
    tmp_path: Path, drawn: Path
) -> None:
    pedestrians.draw_dataset(tmp_path, identities=IDENTITIES, training=3, cameras=CAMERAS)
    everything = contents(tmp_path)
    train = {name: data for name, data in everything.items() if "train" in name}
    assert {name: data for name, data in everything.items() if name not in train} == contents(drawn)
    seen = {parts(path) for path in pictures(tmp_path, "bounding_box_train")}
    assert {identity for identity, _ in seen} == {IDENTITIES + 1, IDENTITIES + 2, IDENTITIES + 3}
    assert all(sum(i == identity for i, _ in seen) > 1 for identity, _ in seen)


def test_names_follow_market_1501_and_tell_the_cameras(drawn: Path) -> None:
    seen = {parts(path)[1] for path in pictures(drawn)}
    assert seen == set(range(1, CAMERAS + 1))


def test_no_frame_of_a_camera_is_used_twice(drawn: Path) -> None:
    frames = [path.name.split("_")[1:3] for path in pictures(drawn)]
    assert len({tuple(frame) for frame in frames}) == len(frames)


def test_the_gallery_holds_distractors_and_junk_and_queries_hold_neither(drawn: Path) -> None:
    gallery = [parts(path)[0] for path in pictures(drawn, "bounding_box_test")]
    assert gallery.count(0) == IDENTITIES
    assert gallery.count(-1) == IDENTITIES // 2
    assert all(parts(path)[0] > 0 for path in pictures(drawn, "query"))


def test_every_picture_is_a_colour_jpeg_of_64_by_128(drawn: Path) -> None:
    for path in pictures(drawn):
        with Image.open(path) as picture:
            assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (64, 128))


def test_the_number_of_files_is_returned(tmp_path: Path) -> None:
    written = pedestrians.draw_dataset(tmp_path, identities=6, cameras=2)
    assert (
        written == len(pictures(tmp_path)) == len([p for p in tmp_path.rglob("*") if p.is_file()])
    )


@pytest.mark.parametrize(("identities", "cameras"), [(0, 2), (5, 1)])
def test_too_few_identities_or_cameras_are_refused(
    tmp_path: Path, identities: int, cameras: int
) -> None:
    with pytest.raises(ValueError, match="too few"):
        pedestrians.draw_dataset(tmp_path, identities=identities, cameras=cameras)
