"""Several questions at once: each has the answer that it has alone, to the last digit."""

import asyncio
import re
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from reidsearch.encoding.encoder import Encoder
from reidsearch.errors import ImageError, ReidsearchError, UnknownCamera, UsageError
from reidsearch.gallery import Gallery
from reidsearch.search.answer import Answer
from reidsearch.search.inquiry import Inquiry
from reidsearch.service import workers
from reidsearch.service.problems import Problem
from reidsearch.service.workers import TOGETHER, Workers
from tests.conftest import Run
from tests.serving import finished, served, until
from tests.test_serve import post, sent

WAYS: Sequence[dict[str, object]] = (
    {},
    {"exclude_camera": True, "top_k": 3},
    {"only_cameras": ["2", "3"], "plain": True},
    {"rerank": True},
    {"expand": True},
    {"spatio_temporal": True, "top_k": 25},
    {"by_stay": True, "top_k": 2},
    {"split": "query", "min_score": 0.5},
    {"exact": True, "top_k": 27},
)


@pytest.fixture
def pictures(market: Path) -> list[Path]:
    return sorted((market / "query").glob("*.jpg"))


@pytest.mark.parametrize("calibrated", [False, True])
def test_questions_of_all_kinds_have_together_the_answers_that_each_has_alone(
    gallery: Gallery, pictures: list[Path], calibrated: bool
) -> None:
    if calibrated:
        gallery.calibrate(source="gallery")
    ways = [way for way in WAYS if calibrated or not {"expand", "spatio_temporal"} & way.keys()]
    asked = [(one, way) for way in ways for one in pictures]
    asked += [(pictures[0], {"unlike": pictures[1:3], "top_k": 9})]
    alone = [gallery.query(one, **way).document() for one, way in asked]  # type: ignore[arg-type]
    logged = gallery.audit()
    inquiries = [gallery.inquiry(one, **way) for one, way in asked]  # type: ignore[arg-type]
    together = gallery.query_all(inquiries)
    for one, other in zip(alone, together, strict=True):
        assert isinstance(other, Answer)
        assert other.document() == one
    again = gallery.audit()[len(logged) :]
    assert [one.filters for one in again] == [one.filters for one in logged]
    assert [one.digests for one in again] == [one.digests for one in logged]


def test_an_error_stays_in_its_place_and_is_nothing_to_the_others(
    gallery: Gallery, pictures: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "torn.jpg").write_bytes(pictures[0].read_bytes()[:200])
    somebody = tmp_path / "somebody.jpg"
    somebody.write_bytes(pictures[0].read_bytes())
    found = gallery.query_all(
        [
            gallery.inquiry(pictures[0]),
            gallery.inquiry(tmp_path / "torn.jpg"),
            gallery.inquiry(somebody, exclude_camera=True),
            gallery.inquiry(pictures[1], only_cameras=["nowhere"]),
            gallery.inquiry(pictures[1], site="nowhere"),
            gallery.inquiry(pictures[1]),
        ]
    )
    kinds = [Answer, ImageError, UnknownCamera, UnknownCamera, UsageError, Answer]
    assert [type(one) for one in found] == kinds
    assert found[0] == gallery.query(pictures[0])
    assert found[-1] == gallery.query(pictures[1])
    assert len(gallery.audit()) == 4  # what was not answered is not logged


def test_no_questions_have_no_answers(gallery: Gallery) -> None:
    assert gallery.query_all([]) == []


def test_a_picture_that_is_encoded_alone_has_the_same_vector_in_any_company(
    encoder: Encoder,
) -> None:
    made = np.random.default_rng(0)
    pictures = made.integers(0, 256, (12, *encoder.size, 3), dtype=np.uint8)
    alone = np.concatenate([encoder.encode(one[None], alone=True) for one in pictures])
    assert np.array_equal(encoder.encode(pictures, alone=True), alone)


def test_the_command_line_answers_many_pictures_as_it_answers_each(
    run: Run, market: Path, pictures: list[Path]
) -> None:
    run("ingest", market)
    each = [run("query", one, "--json").stdout for one in pictures]
    assert run("query", *pictures, "--json").stdout == "".join(each)


def test_clients_who_ask_at_once_have_the_answers_of_the_library(
    gallery: Gallery, pictures: list[Path]
) -> None:
    documents = {one: gallery.query(one, name=one.name).document() for one in pictures}
    with served(gallery) as client:

        def ask(number: int) -> bool:
            one = pictures[number % len(pictures)]
            if number % 5 == 0:
                torn = ("image", ("torn.jpg", one.read_bytes()[:99]))
                return post(client, "/api/query", torn).status_code == 422
            answer = post(client, "/api/query", sent(one))
            return bool(answer.status_code == 200 and answer.json() == documents[one])

        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(ask, range(80)))


class Slow:
    """Answers questions when it is let, and notes how many it was asked at once."""

    def __init__(self, gallery: Gallery, *, broken: bytes = b"") -> None:
        self._answer_all = gallery.query_all
        self._broken = broken
        self.let = threading.Event()
        self.batches: list[int] = []

    def __call__(self, inquiries: Sequence[Inquiry]) -> Sequence[Answer | ReidsearchError]:
        self.batches.append(len(inquiries))
        assert self.let.wait(60)
        if any(one.question.probes[0].data == self._broken for one in inquiries):
            raise RuntimeError("a defect")
        return self._answer_all(inquiries)


async def _begun(workers: Workers, slow: Slow, inquiry: Inquiry) -> "asyncio.Task[Answer]":
    """A question that keeps the only thread at work."""
    first = asyncio.create_task(workers.answer(lambda: inquiry))
    while not slow.batches:
        await asyncio.sleep(0.005)
    return first


async def _three_together(workers: Workers, slow: Slow, inquiry: Inquiry) -> None:
    """Three questions that are answered in one turn, after one alone."""
    first = await _begun(workers, slow, inquiry)
    others = [asyncio.create_task(workers.answer(lambda: inquiry)) for _ in range(3)]
    await asyncio.sleep(0)
    slow.let.set()
    await asyncio.gather(first, *others)


def test_who_waits_is_answered_in_order_so_many_at_a_time_and_nobody_is_left_out(
    gallery: Gallery, pictures: list[Path]
) -> None:
    slow = Slow(gallery)
    inquiry = gallery.inquiry(pictures[0])

    async def ask() -> list[int]:
        workers, ended = Workers(slow, threads=1), []
        first = await _begun(workers, slow, inquiry)
        others = [asyncio.create_task(workers.answer(lambda: inquiry)) for _ in range(2 * TOGETHER)]
        for number, one in enumerate(others):
            one.add_done_callback(lambda _, number=number: ended.append(number))  # type: ignore[misc]
        await asyncio.sleep(0)
        slow.let.set()
        answers = await asyncio.gather(first, *others)
        assert all(one == answers[0] for one in answers)
        workers.close()
        return ended

    assert finished(ask()) == list(range(2 * TOGETHER))
    assert slow.batches == [1, TOGETHER, TOGETHER]


def test_those_who_were_answered_together_are_again_though_one_comes_first(
    gallery: Gallery, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "PATIENCE", 1e6)
    slow = Slow(gallery)
    inquiry = gallery.inquiry(pictures[0])

    async def ask() -> None:
        asked = Workers(slow, threads=1)
        await _three_together(asked, slow, inquiry)
        early = asyncio.create_task(asked.answer(lambda: inquiry))
        await asyncio.sleep(0.2)
        assert not early.done()
        others = [asyncio.create_task(asked.answer(lambda: inquiry)) for _ in range(2)]
        await asyncio.gather(early, *others)
        asked.close()

    finished(ask())
    assert slow.batches == [1, 3, 3]


def test_nobody_waits_for_long_for_those_who_do_not_ask_again(
    gallery: Gallery, pictures: list[Path]
) -> None:
    slow = Slow(gallery)
    inquiry = gallery.inquiry(pictures[0])

    async def ask() -> None:
        asked = Workers(slow, threads=1)
        await _three_together(asked, slow, inquiry)
        for _ in range(2):
            await asked.answer(lambda: inquiry)
        asked.close()

    finished(ask())
    assert slow.batches == [1, 3, 1, 1]


def test_who_has_gone_is_not_answered_and_others_are(
    gallery: Gallery, pictures: list[Path]
) -> None:
    slow = Slow(gallery)
    inquiry = gallery.inquiry(pictures[0])

    async def ask() -> None:
        workers = Workers(slow, threads=1)
        first = await _begun(workers, slow, inquiry)
        others = [asyncio.create_task(workers.answer(lambda: inquiry)) for _ in range(3)]
        await asyncio.sleep(0)
        others[1].cancel()
        await asyncio.sleep(0)
        slow.let.set()
        found = await asyncio.gather(first, *others, return_exceptions=True)
        assert [type(one) for one in found] == [Answer, Answer, asyncio.CancelledError, Answer]
        assert workers.asked == 0
        workers.close()

    finished(ask())
    assert slow.batches == [1, 2]


def test_a_defect_that_one_question_meets_fails_that_one_alone(
    gallery: Gallery, pictures: list[Path]
) -> None:
    slow = Slow(gallery, broken=pictures[1].read_bytes())
    good, bad = gallery.inquiry(pictures[0]), gallery.inquiry(pictures[1])

    async def ask() -> None:
        workers = Workers(slow, threads=1)
        first = await _begun(workers, slow, good)
        others = [asyncio.create_task(workers.answer(lambda one=one: one)) for one in (good, bad)]  # type: ignore[misc]
        await asyncio.sleep(0)
        slow.let.set()
        found = await asyncio.gather(first, *others, return_exceptions=True)
        assert [type(one) for one in found] == [Answer, Answer, RuntimeError]
        workers.close()

    finished(ask())
    assert slow.batches == [1, 2, 1, 1]
    assert len(gallery.audit()) == 2  # nobody's search is logged twice


def test_the_pages_questions_are_answered_along_with_others(
    gallery: Gallery, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [[str(hit.id) for hit in gallery.query(one, top_k=20).hits] for one in pictures]
    slow = Slow(gallery)
    monkeypatch.setattr(gallery, "query_all", slow)

    def page(one: Path) -> list[str]:
        answer = post(client, "/page/answer", sent(one))
        assert answer.status_code == 200, answer.text
        return re.findall(r'data-ask="(\d+)"', answer.text)

    def program(one: Path) -> list[str]:
        answer = post(client, "/api/query", sent(one), top_k=20)
        return [str(hit["id"]) for hit in answer.json()["hits"]]

    with served(gallery) as client, ThreadPoolExecutor(4) as pool:
        first = pool.submit(page, pictures[0])
        until(lambda: slow.batches)
        asks = (page, program, page)
        others = [pool.submit(ask, one) for ask, one in zip(asks, pictures[1:4], strict=True)]
        until(lambda: "reidsearch_requests_asked 4.0" in client.get("/metrics").text)
        slow.let.set()
        assert [one.result() for one in (first, *others)] == alone[:4]
    assert slow.batches == [1, 3]


def test_who_was_answered_is_not_sent_away_before_the_answer_is_drawn(
    gallery: Gallery, pictures: list[Path]
) -> None:
    slow = Slow(gallery)
    slow.let.set()
    inquiry = gallery.inquiry(pictures[0])

    async def ask() -> tuple[int, type[Exception]]:
        workers, loop = Workers(slow, threads=1, waiting=0), asyncio.get_running_loop()

        def draw(found: Answer) -> tuple[int, type[Exception]]:
            other = asyncio.run_coroutine_threadsafe(workers.answer(lambda: inquiry), loop)
            error = other.exception(60)
            assert error is not None
            return len(found.hits), type(error)  # type: ignore[return-value]

        drawn = await workers.drawn(lambda: inquiry, draw)
        assert workers.asked == 0
        workers.close()
        return drawn

    assert finished(ask()) == (10, Problem)
    assert len(gallery.audit()) == 1  # who is sent away did not search
