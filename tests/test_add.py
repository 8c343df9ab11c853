"""Crops that are pushed: durable when confirmed, once each, and gone when they are forgotten."""

from dataclasses import replace
from pathlib import Path

import pytest

from reidsearch import Added, Crop, EmptyGallery, ImageError, UsageError, faults
from reidsearch.catalog.records import State
from reidsearch.config import Config
from reidsearch.gallery import Gallery
from reidsearch.pushing.add import Outcome
from reidsearch.session import CROPS, WAITING
from tests.conftest import COLORS, write_crop

NOON = 1_714_557_600.0


def crop(seed: int = 0, person: int = 1, **told: object) -> Crop:
    data = write_crop(Path("pushed.png"), color=COLORS[person], seed=seed).read_bytes()
    return Crop(data, **{"camera": "lobby", "timestamp": NOON + seed, **told})  # type: ignore[arg-type]


def outcomes(gallery: Gallery, *crops: Crop) -> list[Outcome]:
    found = gallery.add(crops)
    assert all(isinstance(one, Added) for one in found), found
    return [one.outcome for one in found if isinstance(one, Added)]


def files(settings: Config) -> list[Path]:
    return [one for one in (settings.data_dir / CROPS).rglob("*") if one.is_file()]


def test_a_pushed_crop_is_found_with_what_was_said_of_it(settings: Config) -> None:
    with Gallery(settings) as gallery:
        (added,) = gallery.add([crop(identity="ann", frame=7, sequence=2, site="yard")])
        assert isinstance(added, Added)
        (hit,) = gallery.query(crop().data).hits
    assert (hit.id, hit.camera, hit.identity, hit.site) == (added.id, "lobby", "ann", "yard")
    assert (hit.frame, hit.sequence, hit.timestamp) == (7, 2, NOON)
    assert hit.dataset == "pushed at yard"
    assert Path(hit.path).read_bytes() == crop().data


def test_pushing_again_changes_nothing(settings: Config) -> None:
    with Gallery(settings) as gallery:
        assert outcomes(gallery, crop(), crop(1), crop()) == [Outcome.STORED] * 3
        assert outcomes(gallery, crop(), crop(1)) == [Outcome.UNCHANGED] * 2
        assert outcomes(gallery, crop(identity="ann")) == [Outcome.RELABELLED]
        assert len(gallery.query(crop().data, top_k=10).hits) == 2
    assert len(files(settings)) == 2


def test_the_same_bytes_from_two_cameras_or_moments_are_two_images(settings: Config) -> None:
    with Gallery(settings) as gallery:
        gallery.add([crop(), crop(camera="garage"), crop(timestamp=NOON + 60)])
        assert len(gallery.query(crop().data).hits) == 3


def test_of_one_name_there_is_one_image_the_last(settings: Config) -> None:
    with Gallery(settings) as gallery:
        assert outcomes(gallery, crop(name="track 7")) == [Outcome.STORED]
        assert outcomes(gallery, crop(5, person=2, name="track 7")) == [Outcome.STORED]
        (hit,) = gallery.query(crop(5, person=2).data).hits
        assert hit.score > 0.999
    (file,) = files(settings)
    assert file.read_bytes() == crop(5, person=2).data


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a\\..\\b", "CON", "x" * 200])
def test_no_name_becomes_a_path(settings: Config, name: str) -> None:
    told: dict[str, object] = dict.fromkeys(("name", "dataset", "site", "camera", "identity"), name)
    with Gallery(settings) as gallery:
        assert outcomes(gallery, crop(0, 1, **told)) == [Outcome.STORED]
    (file,) = files(settings)
    folders = file.relative_to(settings.data_dir / CROPS).parts
    assert [len(part) for part in folders] == [16, 2, 64]
    assert all(set(part) <= set("0123456789abcdef") for part in folders)
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_is_no_picture_or_cannot_be_said_is_refused_before_anything_is_written(
    settings: Config,
) -> None:
    with pytest.raises(ImageError, match="not a picture"):
        Crop(b"torn")
    for told in ({"camera": ""}, {"timestamp": 1e15}, {"frame": -1}, {"name": "a\nb"}):
        with pytest.raises(UsageError):
            crop(**told)
    assert not settings.data_dir.exists()


def test_one_crop_that_cannot_be_taken_in_keeps_no_other_out(
    settings: Config, market: Path
) -> None:
    keeping = replace(settings, retain_days=30)
    with Gallery(keeping) as gallery:
        gallery.ingest(market)
        recent = crop(timestamp=None)
        old, stored, foreign = gallery.add([crop(), recent, replace(recent, dataset="market")])
        assert isinstance(stored, Added)
        assert isinstance(old, UsageError)
        assert "retain_days" in str(old)
        assert isinstance(foreign, UsageError)
        assert "ingested from a folder" in str(foreign)
        gallery.add([replace(recent, site="yard", dataset="door")])
        (moved,) = gallery.add([replace(recent, site="roof", dataset="door")])
        assert isinstance(moved, UsageError)
        assert "is at the site 'yard'" in str(moved)


def test_forgetting_deletes_a_pushed_crops_file_too(settings: Config, market: Path) -> None:
    with Gallery(settings) as gallery:
        gallery.ingest(market)
        gallery.add([crop(identity="ann"), crop(1, identity="bob")])
        assert len(gallery.forget(identity="ann").images) == 1
        (file,) = files(settings)
        assert file.read_bytes() == crop(1).data
        gallery.forget(identity="bob")
        assert not files(settings)
        gallery.forget(identity=2)
    assert (market / "query/0002_c1s1_000001_00.jpg").exists()  # somebody else's files stay


def test_a_crop_that_was_cut_short_is_whole_when_it_is_pushed_again(
    settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cut(Exception):
        pass

    def cut(point: str) -> None:
        if points and point == points[0]:
            points.pop(0)
            raise Cut

    points = ["crops written", "recorded", "encoded", "flushed"]
    monkeypatch.setattr(faults, "reach", cut)
    while points:
        with Gallery(settings) as gallery, pytest.raises(Cut):
            gallery.add([crop()])
    with Gallery(settings) as gallery:
        assert outcomes(gallery, crop()) == [Outcome.STORED]
        (hit,) = gallery.query(crop().data).hits
        assert hit.score > 0.999
        assert {count.state for count in gallery.status().images} == {State.INDEXED}
        assert not gallery.doctor().left


def test_upkeep_makes_what_is_expanded_and_old_what_an_ingest_would(
    settings: Config, market: Path
) -> None:
    with Gallery(settings) as gallery:
        gallery.ingest(market)
        gallery.calibrate()
        assert gallery.query(crop().data, expand=True).hits
        gallery.add([crop()])
        assert gallery.keep_current().expanded
        assert gallery.keep_current().expanded == 0
        assert crop().data in {
            Path(hit.path).read_bytes() for hit in gallery.query(crop().data, expand=True).hits
        }
        assert not gallery.doctor().left
    with Gallery(replace(settings, retain_days=30)) as gallery:
        assert gallery.keep_current().removed == 1
    assert not files(settings)


def test_upkeep_takes_in_what_a_kill_left_pending(
    settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cut(Exception):
        pass

    def cut(point: str) -> None:
        if point == "recorded":
            raise Cut

    with monkeypatch.context() as patched, Gallery(settings) as gallery:
        patched.setattr(faults, "reach", cut)
        with pytest.raises(Cut):
            gallery.add([crop(), crop(1)])
    with Gallery(settings) as gallery:
        assert [count.state for count in gallery.status().images] == [State.PENDING]
        gallery.keep_current()
        assert len(gallery.query(crop().data).hits) == 2
        assert not gallery.doctor().left


def test_crops_that_were_put_aside_are_taken_in_first_and_in_their_order(
    settings: Config, caplog: pytest.LogCaptureFixture
) -> None:
    with Gallery(settings) as gallery:
        named = [crop(0, name="door"), crop(1, name="door"), crop(2, site="yard")]
        aside = gallery.put_aside(named)
        assert {getattr(one, "outcome", None) for one in aside} == {Outcome.WAITING}
        assert len(list((settings.data_dir / WAITING).iterdir())) == 3
        (settings.data_dir / WAITING / "0-damaged.crop").write_bytes(b'{"camera": 1}\nno picture')
        with pytest.raises(EmptyGallery):
            gallery.query(crop().data)
    with Gallery(settings) as gallery:  # another process, after a crash
        assert outcomes(gallery, crop(3, name="door")) == [Outcome.STORED]
        hits = gallery.query(crop(3).data, top_k=10).hits
        assert {hit.id for hit in hits} == {getattr(one, "id", None) for one in aside}
        assert Path(hits[0].path).read_bytes() == crop(3).data
    assert not list((settings.data_dir / WAITING).iterdir())
    assert "0-damaged.crop was put aside and cannot be taken in" in caplog.text


def test_what_is_too_old_is_not_put_aside(settings: Config) -> None:
    with Gallery(replace(settings, retain_days=1)) as gallery:
        (found,) = gallery.put_aside([crop()])
    assert isinstance(found, UsageError)
    assert not (settings.data_dir / WAITING).exists()
