"""What can be chosen on the page: how to rank, and which data set or site."""

from functools import partial
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from reidsearch.gallery import Gallery
from reidsearch.search.answer import Answer
from tests.browser import Visit, visiting
from tests.conftest import COLORS, write_crop
from tests.serving import served
from tests.test_page import asked
from tests.test_serve import PROBE


@pytest.fixture
def learned(gallery: Gallery) -> Gallery:
    gallery.calibrate(source="gallery")
    return gallery


def ids(found: Answer) -> list[str]:
    return [str(one.id) for one in found.hits]


def chosen(visit: Visit, label: str, value: str) -> None:
    visit.page.get_by_label(label).select_option(value)
    visit.settled()


def test_hits_are_ranked_as_is_chosen_and_by_the_best_unless_something_is(
    browser: Browser, learned: Gallery, market: Path
) -> None:
    data = (market / PROBE).read_bytes()
    with served(learned) as client, visiting(browser, str(client.base_url)) as visit:
        ranking = visit.page.get_by_label("Ranked by")
        visit.choose(market / PROBE)
        best = visit.hits(20)
        assert best == ids(learned.query(data, name=PROBE, top_k=20))
        options = ranking.locator("option").all_inner_texts()
        assert options == ["the best that is learned", "expanded", "times", "plain"]
        described = ranking.get_attribute("aria-describedby")
        assert "neighbours" in visit.page.locator(f"#{described}").inner_text()
        for name, ask in {
            "plain": partial(learned.query, plain=True),
            "expand": partial(learned.query, expand=True),
            "spatio_temporal": partial(learned.query, spatio_temporal=True),
        }.items():
            chosen(visit, "Ranked by", name)
            expected = ask(data, name=PROBE, top_k=20)
            assert visit.hits(20) == ids(expected)
            assert asked(visit)["ranking"] == [name]
            words = ", ".join(expected.ranking.words) or "appearance"
            expect(visit.page.locator("#found header")).to_contain_text(f"Scores by {words}.")
        assert not Axe().run(visit.page).response["violations"]
        visit.page.go_back()
        expect(ranking).to_have_value("expand")
        visit.page.go_back()
        visit.page.go_back()
        expect(ranking).to_have_value("")
        visit.settled()
        assert visit.hits(20) == best
        ranking.focus()
        visit.page.keyboard.press("End")
        expect(visit.page.locator("#found header")).to_contain_text("Scores by appearance.")
        visit.page.get_by_role("button", name="Clear the filters").click()
        expect(ranking).to_have_value("")


def test_a_trace_is_ranked_as_is_chosen(browser: Browser, learned: Gallery, market: Path) -> None:
    with served(learned) as client, visiting(browser, str(client.base_url)) as visit:
        visit.choose(market / PROBE)
        visit.hits(20)
        chosen(visit, "Ranked by", "plain")
        visit.page.get_by_label("Trace", exact=True).check()
        message = visit.problem()  # of so few images it cannot be told
        assert "too few pairs" in message
        assert "the field" not in message
        assert learned.audit()[-1].filters["expand"] is False


def test_what_was_not_learned_cannot_be_chosen(
    browser: Browser, gallery: Gallery, market: Path
) -> None:
    with served(gallery) as client, visiting(browser, str(client.base_url)) as visit:
        visit.choose(market / PROBE)
        visit.hits(20)
        expect(visit.page.get_by_label("Ranked by")).to_have_count(0)
        expect(visit.page.get_by_label("Data set")).to_have_count(0)
        expect(visit.page.get_by_label("Site")).to_have_count(0)


def test_one_data_set_or_one_site_is_searched(
    browser: Browser, gallery: Gallery, market: Path, tmp_path: Path
) -> None:
    for number in range(1, 4):
        for camera in (1, 2):
            name = f"annex/{number:04d}_c{camera}s1_{number:06d}_01.jpg"
            write_crop(tmp_path / name, color=COLORS[number], seed=40 + number)
    gallery.ingest(tmp_path / "annex", site="annex", name="yard")
    data = (market / PROBE).read_bytes()
    with served(gallery) as client, visiting(browser, str(client.base_url)) as visit:
        visit.choose(market / PROBE)
        every = visit.hits(20)
        for label, field, value, ask in (
            ("Data set", "dataset", "yard", partial(gallery.query, dataset="yard")),
            ("Site", "site", "annex", partial(gallery.query, site="annex")),
        ):
            chosen(visit, label, value)
            expected = ask(data, name=PROBE, top_k=20)
            assert len(expected.hits) == 6
            assert visit.hits(6) == ids(expected)
            assert asked(visit)[field] == [value]
            visit.page.go_back()
            expect(visit.page.get_by_label(label)).to_have_value("")
            assert visit.hits(20) == every
