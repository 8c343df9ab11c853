"""A gallery from afar: the same verbs over HTTP, with the same answers, sheets and errors."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import reidsearch
from reidsearch.cli.vocabulary import COMMAND_LINE
from reidsearch.client.connection import NotUnderstood
from reidsearch.environment import TOKEN
from reidsearch.errors import (
    ImageError,
    NotCalibrated,
    ReidsearchError,
    StoreUnreachable,
    UnknownCamera,
    UnknownImage,
    UsageError,
)
from reidsearch.gallery import Gallery
from reidsearch.pushing.add import Outcome
from reidsearch.pushing.crop import Crop
from reidsearch.service.tokens import Role, Tokens
from tests.conftest import COLORS, Run, write_crop
from tests.serving import served

PROBE = "query/0001_c1s1_000001_00.jpg"
NAMES = (
    'a "quoted" name.png', "line\nbreak\r.png", "行人 в городе.png", "50%22 off;=&.png",
    "c:\\back\\slash.png", "x" * 300,
)  # fmt: skip


@pytest.fixture
def url(gallery: Gallery) -> Iterator[str]:
    """Where the market set is served."""
    with served(gallery) as client:
        yield str(client.base_url)


@pytest.fixture
def afar(url: str) -> Iterator[Gallery]:
    with reidsearch.open(url) as opened:
        yield opened


def both(here: Gallery, afar: Gallery) -> tuple[Gallery, Gallery]:
    return here, afar


def test_answers_from_afar_are_those_of_the_gallery(
    gallery: Gallery, afar: Gallery, market: Path
) -> None:
    gallery.calibrate(source="gallery")
    probe, other = market / PROBE, market / "query/0002_c1s1_000001_00.jpg"
    questions: list[dict[str, object]] = [
        {"picture": probe},
        {"picture": str(probe), "exclude_camera": True, "top_k": 3, "plain": True},
        {"picture": [probe, other], "by_stay": True},
        {"picture": probe, "unlike": [other], "min_score": 0.2, "only_cameras": [1, "2"]},
        {"picture": probe, "rerank": True, "spatio_temporal": True, "dataset": "market"},
        {"picture": probe.read_bytes(), "camera": 2, "name": "somebody", "expand": True},
        {"picture": probe, "split": "query", "since": "1970-01-02", "until": 10**9},
    ]
    for question in questions:
        here, there = (one.query(**question) for one in both(gallery, afar))  # type: ignore[arg-type]
        assert there.document() == here.document()
        assert there.hits == here.hits
        assert there.together == here.together
        assert there.ranking.words == here.ranking.words


def test_sheets_from_afar_show_pictures_that_are_not_on_this_disk(
    gallery: Gallery, url: str, market: Path, tmp_path: Path
) -> None:
    with reidsearch.open(url) as afar:
        here, there = (one.query(market / PROBE) for one in both(gallery, afar))
    shown = here._repr_html_()
    assert there._repr_html_() == shown
    hidden = market.rename(tmp_path / "moved")  # from the service's disk, too
    assert there._repr_html_() != shown
    with reidsearch.open(url) as again, pytest.raises(ImageError, match="not there any more"):
        again.stored(there.hits[0].id)
    hidden.rename(market)
    assert there._repr_html_() == shown


def test_traces_from_afar_are_those_of_the_gallery(
    gallery: Gallery, afar: Gallery, market: Path
) -> None:
    gallery.calibrate(source="gallery")
    for options in (
        {"min_score": 0.5},
        {"min_score": 0.1, "plain": True},
        {"min_score": 0.1, "expand": True, "spatio_temporal": True, "dataset": "market"},
    ):
        here, there = (one.trace(market / PROBE, **options) for one in both(gallery, afar))
        assert there.document() == here.document()
        assert there.ranking.words == here.ranking.words
        assert there._repr_png_() == here._repr_png_()


def test_whatever_a_picture_is_called_it_is_called_so_from_afar(
    afar: Gallery, market: Path
) -> None:
    data = (market / PROBE).read_bytes()
    for name in NAMES:
        assert afar.query(data, name=name).query == name
        assert afar.trace(data, name=name, min_score=0.9).query == name
    pictures = [write_crop(Path(f"{n}-{name[:9]}.png".replace("/", "")), color=COLORS[1], seed=n)
                for n, name in enumerate(NAMES)]  # fmt: skip
    answer = afar.query(pictures[:3], unlike=pictures[3:])
    assert [one.query for one in answer.together] == list(map(str, pictures[:3]))
    assert [one.query for one in answer.unlike] == list(map(str, pictures[3:]))


def test_what_is_stored_and_who_searched_is_told_from_afar(
    gallery: Gallery, afar: Gallery, market: Path
) -> None:
    afar.ready()
    hit = afar.query(market / PROBE).hits[0]
    assert afar.stored(hit.id).data == gallery.stored(hit.id).data
    assert list(afar.pictures([hit.id, 1])) == [hit.id, 1]
    assert afar.pictures([hit.id]) == gallery.pictures([hit.id])
    assert afar.status().document() == gallery.status().document()
    assert afar.cameras() == gallery.cameras()
    assert afar.audit() == gallery.audit()
    assert afar.audit(since="2100-01-01") == []


def test_crops_are_pushed_and_forgotten_from_afar(
    gallery: Gallery, afar: Gallery, tmp_path: Path
) -> None:
    data = write_crop(tmp_path / "crop.png", color=COLORS[2], seed=77).read_bytes()
    crop = Crop(data, camera="lobby", identity="9", timestamp=1714557600.25, name='a "b"\n'.strip())
    added = [one for _ in range(2) for one in afar.add([crop])]
    assert [getattr(one, "outcome", one) for one in added] == [Outcome.STORED, Outcome.UNCHANGED]
    hit = afar.query(data, top_k=1).hits[0]
    assert (hit.camera, hit.identity, hit.timestamp) == ("lobby", 9, 1714557600.25)
    assert afar.forget(identity=9, dry_run=True) == gallery.forget(identity=9, dry_run=True)
    with pytest.raises(UsageError, match="nobody can be asked"):
        afar.forget(identity=9, confirm=lambda images: None)
    gone = afar.forget(identity=9)
    assert (len(gone.images), gone.vectors) == (1, 1)
    with pytest.raises(UnknownImage):
        afar.stored(hit.id)


def test_errors_from_afar_are_the_librarys_in_the_words_of_this_door(
    gallery: Gallery, afar: Gallery, market: Path
) -> None:
    torn = (market / PROBE).read_bytes()[:200]
    for kind, ask in (
        (UnknownCamera, lambda one: one.query(market / PROBE, only_cameras=["9"])),
        (UnknownCamera, lambda one: one.query((market / PROBE).read_bytes(), exclude_camera=True)),
        (NotCalibrated, lambda one: one.query(market / PROBE, expand=True)),
        (UsageError, lambda one: one.query(market / PROBE, plain=True, rerank=True)),
        (UsageError, lambda one: one.query(market / PROBE, unlike=market / PROBE)),
        (ImageError, lambda one: one.query(torn, name="torn.jpg")),
        (ImageError, lambda one: one.query(market / "nobody.jpg")),
        (UnknownImage, lambda one: one.stored(1)),
    ):
        told = []
        for one in both(gallery, afar):
            with pytest.raises(kind) as error:
                ask(one)  # type: ignore[no-untyped-call]
            told.append((error.type, str(error.value), error.value.hint_in(COMMAND_LINE)))
        assert told[0] == told[1]


def test_what_takes_the_gallerys_disk_says_so_from_afar(
    afar: Gallery, market: Path, tmp_path: Path
) -> None:
    for do in (
        lambda: afar.ingest(market),
        lambda: afar.evaluate(),
        lambda: afar.calibrate(),
        lambda: afar.calibration(),
        lambda: afar.export(tmp_path / "all.csv"),
        lambda: afar.doctor(),
        lambda: afar.explore(),
        lambda: afar.forget(images=["a.jpg"]),
        lambda: afar.forget_encoder("colours"),
        lambda: afar.audit(save=tmp_path),
        lambda: afar.claim(),
        lambda: afar.hold(),
        lambda: afar.encoders(),
        lambda: afar.acting("ann"),
    ):
        with pytest.raises(UsageError, match="not done over HTTP") as error:
            do()
        assert "beside the service" in error.value.hint


def test_tokens_say_who_searched_and_are_never_shown(
    gallery: Gallery, market: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tokens = Tokens(gallery.config.data_dir)
    good, other = tokens.add("ann", Role.SEARCH), tokens.add("cam", Role.INGEST)
    file = tmp_path / "token"
    file.write_text(good + "\n")
    with served(gallery) as client:
        url = str(client.base_url)
        with reidsearch.open(url, token_file=file) as afar:
            assert afar.query(market / PROBE).hits
            assert good not in repr(afar) + repr(afar.config) + repr(vars(afar))
        monkeypatch.setenv(TOKEN, good)
        with reidsearch.open(server=url) as afar:
            assert afar.query(market / PROBE).hits
        wrongs = (("", "a token is needed"), ("n0t-one", "not known"), (other, "for ingest"))
        for wrong, message in wrongs:
            monkeypatch.setenv(TOKEN, wrong)
            with (
                reidsearch.open(url) as afar,
                pytest.raises(ReidsearchError, match=message) as error,
            ):
                afar.query(market / PROBE)
            assert not wrong or wrong not in str(error.value) + error.value.hint
    assert [entry.operator for entry in gallery.audit()] == ["ann", "ann"]
    monkeypatch.setenv(TOKEN, "two\nlines")
    with pytest.raises(UsageError, match="characters that none has"):
        reidsearch.open("http://127.0.0.1:1")
    with pytest.raises(UsageError, match="cannot be read"):
        reidsearch.open("http://127.0.0.1:1", token_file=tmp_path / "none")


def test_where_no_service_answers_that_is_said(
    market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url in ("http://127.0.0.1:1", "http://nowhere.invalid"):
        with reidsearch.open(url) as afar, pytest.raises(StoreUnreachable, match="no service"):
            afar.query(market / PROBE)
    for url in ("http://user:secret@127.0.0.1", "http://", "http://h:99999", "http://h:x"):
        with pytest.raises(UsageError) as error:
            reidsearch.open(url)
        assert "secret" not in str(error.value)
    with pytest.raises(UsageError, match="no URL"):
        reidsearch.open(server="ftp://somewhere")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>hello</html>", "no reidsearch service"),
        (b'{"hits": 3, "info": {"title": "reidsearch", "version": "99.0"}}', r"reidsearch 99\.0"),
        (b"7", "no reidsearch service"),
    ],
)
def test_another_program_or_version_at_the_other_end_is_told_of(
    body: bytes, message: str, market: Path
) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with reidsearch.open(f"http://127.0.0.1:{server.server_port}") as afar:
                for ask in (afar.status, afar.cameras, lambda: afar.query(market / PROBE)):
                    with pytest.raises(NotUnderstood, match=message):
                        ask()
        finally:
            server.shutdown()
            thread.join()


def test_commands_from_afar_print_what_they_print_here(
    gallery: Gallery, run: Run, market: Path, tmp_path: Path, url: str
) -> None:
    probe = market / PROBE
    asked = (
        ("query", probe, "--exclude-camera"),
        ("query", probe, market / "query/0003_c1s1_000001_00.jpg", "--together", "--csv"),
        ("query", market / "query", "--json", "--by-stay"),
        ("trace", probe, "--min-score", "0.5"),
        ("forget", "--identity", "3", "--dry-run"),
    )
    there = [run("--server", url, *words).stdout for words in asked]
    run("--server", url, "query", probe, "--only-camera", "9", exit_code=2)
    run("--server", url, "evaluate", exit_code=2)
    run("--server", "http://127.0.0.1:1", "query", probe, exit_code=4)
    gallery.close()
    assert there == [run(*words).stdout for words in asked]
