"""The HTTP door answers what the command line answers."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from reidsearch import lock
from reidsearch.config import Config
from reidsearch.documents.answers import AnswerDocument
from reidsearch.documents.audits import AuditDocument
from reidsearch.documents.calibrations import CalibrationDocument
from reidsearch.documents.ingests import AddedDocument
from reidsearch.documents.statuses import StatusDocument
from reidsearch.errors import StoreLocked
from reidsearch.gallery import Gallery
from reidsearch.service.problems import MEDIA_TYPE, ProblemDocument
from tests.conftest import COLORS, Run, write_crop
from tests.qdrant_server import QdrantStandIn
from tests.serving import served
from tests.test_documents import fits

PROBE = "query/0002_c1s1_000001_00.jpg"


@pytest.fixture
def client(gallery: Gallery) -> Iterator[httpx.Client]:
    with served(gallery) as opened:
        yield opened


def sent(path: Path, field: str = "image") -> tuple[str, tuple[str, bytes]]:
    return field, (path.name, path.read_bytes())


def post(client: httpx.Client, url: str, *files: object, **fields: object) -> httpx.Response:
    data = {key: str(value) for key, value in fields.items()}
    return client.post(url, files=list(files), data=data)  # type: ignore[arg-type]


def problem(response: httpx.Response, status: int) -> ProblemDocument:
    """What went wrong, described as it is said to be."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == MEDIA_TYPE
    found: ProblemDocument = response.json()
    assert fits(found, ProblemDocument)
    assert found["status"] == status
    return found


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ([], {}),
        (["--exclude-camera", "--top-k", "3"], {"exclude_camera": True, "top_k": 3}),
        (["--only-camera", "2,3", "--plain"], {"only_camera": "2,3", "plain": True}),
        (["--rerank", "--min-score", "0.5"], {"rerank": "true", "min_score": 0.5}),
        (["--by-stay", "--split", "query"], {"by_stay": True, "split": "query"}),
    ],
)
def test_a_query_answers_the_command_lines_bytes(
    market: Path,
    settings: Config,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    fields: dict[str, object],
) -> None:
    run("ingest", market)
    monkeypatch.chdir(market / "query")  # as a name alone is what is sent
    probe = Path(Path(PROBE).name)
    printed = run("query", probe, *words, "--json").stdout
    with Gallery(settings) as gallery, served(gallery) as client:
        answer = post(client, "/api/query", sent(probe), **fields)
    assert answer.status_code == 200, answer.text
    assert answer.text + "\n" == printed
    assert fits(answer.json(), AnswerDocument)


def test_a_trace_answers_the_command_lines_bytes(
    market: Path, settings: Config, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("ingest", market)
    monkeypatch.chdir(market / "query")
    probe = Path(Path(PROBE).name)
    printed = run("trace", probe, "--min-score", 0.8, "--json").stdout
    with Gallery(settings) as gallery, served(gallery) as client:
        answer = post(client, "/api/trace", sent(probe), min_score=0.8)
    assert answer.text + "\n" == printed


def test_several_pictures_and_others_are_one_question(
    client: httpx.Client, gallery: Gallery, market: Path
) -> None:
    mine = [market / PROBE, market / "bounding_box_test/0002_c2s1_000010_01.jpg"]
    other = market / "query/0003_c1s1_000001_00.jpg"
    files = [sent(one) for one in mine] + [sent(other, "not")]
    answer = post(client, "/api/query", *files, top_k=4).json()
    expected = gallery.query(mine, unlike=[other], top_k=4).document()
    assert answer["together"] == [one.name for one in mine]
    assert answer["not"] == [other.name]
    assert answer["hits"] == json.loads(json.dumps(expected["hits"]))
    problem(post(client, "/api/query", *files, together=False), 422)


def test_hits_are_the_next_probes_by_their_ids(client: httpx.Client, market: Path) -> None:
    first = post(client, "/api/query", sent(market / PROBE), top_k=3).json()["hits"]
    id, other = first[0]["id"], first[2]["id"]
    picture = client.get(f"/api/images/{id}")
    assert picture.content == Path(first[0]["path"]).read_bytes()
    assert picture.headers["content-type"] == "image/jpeg"
    similar = client.get(f"/api/images/{id}/similar", params={"top_k": 2}).json()
    assert similar["query"] == first[0]["path"]
    assert similar["camera"] == first[0]["camera"]
    assert similar["hits"][0]["id"] == id
    refined = post(client, "/api/query", image_id=id, not_id=other, top_k=20).json()
    assert other not in {hit["id"] for hit in refined["hits"]}


def test_what_browsers_do_not_show_is_sent_as_png(
    settings: Config, tmp_path: Path, market: Path
) -> None:
    from PIL import Image

    (tmp_path / "crops").mkdir()
    Image.open(market / PROBE).save(tmp_path / "crops/a.tif")
    with Gallery(settings) as gallery:
        gallery.ingest(tmp_path / "crops")
        with served(gallery) as client:
            (hit,) = post(client, "/api/query", sent(market / PROBE)).json()["hits"]
            picture = client.get(f"/api/images/{hit['id']}")
    assert picture.headers["content-type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")


def test_a_file_that_has_changed_or_gone_is_not_handed_out(
    client: httpx.Client, market: Path
) -> None:
    first, second = post(client, "/api/query", sent(market / PROBE), top_k=2).json()["hits"]
    Path(first["path"]).write_bytes((market / PROBE).read_bytes())
    Path(second["path"]).unlink()
    assert "has changed" in problem(client.get(f"/api/images/{first['id']}"), 410)["detail"]
    assert "no such file" in problem(client.get(f"/api/images/{second['id']}"), 410)["detail"]


def test_the_gallery_as_a_whole_is_told_as_the_command_line_tells_it(
    client: httpx.Client, gallery: Gallery, market: Path
) -> None:
    cameras = client.get("/api/cameras").json()
    assert cameras == [{"id": n, "camera": n, "site": "market"} for n in (1, 2, 3)]
    status = client.get("/api/status").json()
    assert fits(status, StatusDocument)
    assert status["images"] == gallery.status().document()["images"]
    assert "learned" in problem(client.get("/api/calibration"), 409)["detail"]
    gallery.calibrate()
    learned = client.get("/api/calibration").json()
    assert fits(learned, CalibrationDocument)
    post(client, "/api/query", sent(market / PROBE))
    (entry,) = client.get("/api/audit").json()
    assert fits(entry, AuditDocument)
    assert entry["command"] == "query"
    assert client.get("/api/audit", params={"since": "2100-01-01"}).json() == []


def test_what_was_forgotten_is_gone_from_answers_and_pictures_at_once(
    client: httpx.Client, market: Path
) -> None:
    hits = post(client, "/api/query", sent(market / PROBE)).json()["hits"]
    mine = [hit["id"] for hit in hits if hit["identity"] == 2]
    assert len(mine) == 6
    assert client.get(f"/api/images/{mine[0]}").status_code == 200
    dry = post(client, "/api/forget", identity=2, dry_run=True).json()
    assert dry["images"] == len(dry["paths"]) == 7  # and a probe
    assert post(client, "/api/forget", identity=2).json()["images"] == 7
    assert problem(client.get(f"/api/images/{mine[0]}"), 404)["kind"] == "UnknownImage"
    problem(client.get(f"/api/images/{mine[0]}/similar"), 404)
    hits = post(client, "/api/query", sent(market / PROBE), top_k=100).json()["hits"]
    assert not {hit["id"] for hit in hits} & set(mine)


def test_errors_speak_of_fields_and_requests(client: httpx.Client, market: Path) -> None:
    crop = write_crop(Path("somebody.png"), color=COLORS[1])
    found = problem(post(client, "/api/query", sent(crop), exclude_camera=True), 422)
    assert found["kind"] == "UnknownCamera"
    assert "the field camera" in found["hint"]
    found = problem(post(client, "/api/query", sent(crop), topk=3), 422)
    assert "'topk'" in found["detail"]
    found = problem(post(client, "/api/query", sent(crop), top_k=0), 422)
    assert found["detail"].startswith("top_k: ")
    found = problem(post(client, "/api/query", sent(crop), plain=True, rerank=True), 422)
    assert "the field rerank" in found["hint"]
    found = problem(post(client, "/api/query", ("image", ("x.jpg", b"torn"))), 422)
    assert found["kind"] == "ImageError"
    assert problem(post(client, "/api/trace"), 422)["hint"].startswith("Give at least one")
    problem(client.get("/api/nothing"), 404)
    assert client.put("/api/query").headers["allow"] == "POST"
    problem(client.put("/api/query"), 405)
    problem(client.get("/api/images/zero"), 422)
    problem(client.get("/api/images/99999999999999999999"), 422)


def test_it_is_ready_when_a_query_would_be_answered(market: Path, settings: Config) -> None:
    with Gallery(settings) as gallery, served(gallery) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        found = problem(client.get("/readyz"), 503)
        assert found["kind"] == "EmptyGallery"
        assert "POST /api/images" in found["hint"]
        problem(post(client, "/api/query", sent(market / PROBE)), 409)
        gallery.ingest(market)
        assert client.get("/readyz").json() == {"status": "ready"}


def test_metrics_count_requests_and_images(client: httpx.Client, market: Path) -> None:
    for _ in range(3):
        post(client, "/api/query", sent(market / PROBE))
    client.get("/nothing/at/all")
    text = client.get("/metrics").text
    assert 'reidsearch_requests_total{method="POST",route="/api/query",status="200"} 3.0' in text
    assert 'route="other",status="404"' in text
    assert 'reidsearch_images{encoder="colours' in text
    assert 'split="gallery",state="indexed"} 27.0' in text
    assert "reidsearch_request_seconds_bucket" in text


def test_the_lock_tells_others_where_the_service_is(market: Path, settings: Config) -> None:
    with Gallery(settings, purpose="serve", address="http://127.0.0.1:1") as gallery:
        gallery.hold()
        found = lock.holder(settings.data_dir)
        assert found is not None
        assert (found.command, found.address) == ("serve", "http://127.0.0.1:1")
        assert found.pid == os.getpid()
        with pytest.raises(StoreLocked, match=r"reidsearch serve .*, at http://127\.0\.0\.1:1"):
            lock.Held(settings.data_dir, purpose="query", patience=0.1)


def test_sixteen_clients_at_once_get_the_answers_that_one_would(
    client: httpx.Client, gallery: Gallery, market: Path
) -> None:
    probes = sorted((market / "query").iterdir())
    alone = [gallery.query(one.read_bytes(), name=one.name).document() for one in probes]

    def ask(number: int) -> bool:
        at = number % len(probes)
        answer = post(client, "/api/query", sent(probes[at]))
        return bool(answer.json() == json.loads(json.dumps(alone[at])))

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(96)))


def test_crops_that_are_pushed_at_once_are_each_confirmed_and_found(settings: Config) -> None:
    crops = [write_crop(Path(f"{n}.png"), color=COLORS[1 + n % 4], seed=n) for n in range(40)]
    with Gallery(settings) as gallery, served(gallery) as client:

        def push(crop: Path) -> int:
            answer = post(client, "/api/images", sent(crop), camera=1)
            assert answer.status_code == 201, answer.text
            assert fits(answer.json(), AddedDocument)
            return int(answer.json()["id"])

        with ThreadPoolExecutor(16) as pool:
            ids = list(pool.map(push, crops))
        assert len(set(ids)) == 40
        assert post(client, "/api/images", sent(crops[0]), camera=1).status_code == 200
        for id, crop in zip(ids, crops, strict=True):
            assert client.get(f"/api/images/{id}").content == crop.read_bytes()
        problem(post(client, "/api/images", ("image", ("x.jpg", b"torn")), camera=1), 422)
        problem(post(client, "/api/images", sent(crops[0]), timestamp="yesterday"), 422)


def test_vectors_on_a_server_are_served_as_well(
    qdrant: QdrantStandIn, market: Path, settings: Config
) -> None:
    with Gallery(replace(settings, qdrant_url=qdrant.url)) as gallery, served(gallery) as client:
        crop = sent(write_crop(Path("somebody.png"), color=COLORS[1], seed=99))
        assert post(client, "/api/images", crop, camera=9).status_code == 201
        gallery.ingest(market)  # others may, meanwhile
        answer = post(client, "/api/query", crop, top_k=3).json()
        assert answer["hits"] == json.loads(
            json.dumps(gallery.query(crop[1][1], top_k=3).document()["hits"])
        )
        assert answer["hits"][0]["camera"] == 9
        assert client.get("/readyz").status_code == 200
