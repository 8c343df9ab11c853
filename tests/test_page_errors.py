"""What the page says where something is wrong: in its own words, where it is seen, and with what
helps."""

import re
import threading
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from reidsearch.config import KEYS, Config
from reidsearch.gallery import Gallery
from reidsearch.pushing.add import Added
from reidsearch.pushing.crop import Crop
from reidsearch.service.vocabulary import HTTP, PAGE
from reidsearch.views import fragments
from reidsearch.views.pages import coded
from tests.browser import visiting
from tests.conftest import COLORS, write_crop
from tests.serving import served
from tests.test_serve import PROBE

HOSTILE = "`<img src=x onerror=alert(1)>`"


def test_what_stands_between_accents_is_code_and_nothing_of_it_is_html() -> None:
    assert coded("Fill it with: `reidsearch ingest`.") == (
        "Fill it with: <code>reidsearch ingest</code>."
    )
    assert coded("`a` or `<b>&`") == "<code>a</code> or <code>&lt;b&gt;&amp;</code>"
    assert coded("an accent ` alone") == "an accent ` alone"


def test_the_page_has_words_for_all_that_hints_name_and_settings_are_such() -> None:
    assert PAGE.keys() == HTTP.keys()
    named = [found[1] for text in PAGE.values() if (found := re.match("`(.+)` in the s", text))]
    assert {"data_dir", "qdrant_url", "encoder"} <= set(named)
    assert {one for one in named if one in KEYS} >= {"data_dir", "qdrant_url", "catalog_url"}
    assert not [text for text in PAGE.values() if text.count("`") % 2]


def test_commands_in_hints_are_shown_as_code(browser: Browser, settings: Config) -> None:
    with (
        Gallery(settings, purpose="test") as empty,
        served(empty) as client,
        visiting(browser, str(client.base_url)) as visit,
    ):
        assert "`" not in visit.problem()
        expect(visit.page.locator("#problem code")).to_have_text("reidsearch ingest FOLDER")
        expect(visit.page.get_by_role("button", name="Try again")).to_be_visible()


def test_commands_for_a_terminal_are_told_as_such(
    browser: Browser, gallery: Gallery, market: Path
) -> None:
    with served(gallery) as client, visiting(browser, str(client.base_url)) as visit:
        visit.choose(market / PROBE)
        visit.hits()
        visit.page.get_by_label("Trace", exact=True).check()
        assert "--min-score in a terminal" in visit.problem()
        codes = visit.page.locator("#problem code").all_inner_texts()
        assert codes == ["reidsearch calibrate", "reidsearch trace --min-score"]


def test_names_in_hints_stay_text_whatever_they_are(
    browser: Browser, settings: Config, tmp_path: Path
) -> None:
    data = write_crop(tmp_path / "crop.jpg", color=COLORS[2]).read_bytes()
    with Gallery(settings, purpose="test") as gallery:
        (added,) = gallery.add([Crop(data, camera=HOSTILE)])
        assert isinstance(added, Added)
        with served(gallery) as client, visiting(browser, str(client.base_url)) as visit:
            visit.page.goto(f"{client.base_url}/#of={added.id}&only_camera=roof")
            visit.page.reload()
            assert HOSTILE.strip("`") in visit.problem()
            assert visit.page.locator("#problem img").count() == 0
            expect(visit.page.locator("#problem code")).to_have_text(HOSTILE.strip("`"))


def test_an_address_that_asks_for_what_is_not_there_is_told_in_the_pages_words(
    browser: Browser, gallery: Gallery
) -> None:
    with served(gallery) as client, visiting(browser, str(client.base_url)) as visit:
        some = gallery.query(write_crop(Path(gallery.config.data_dir) / "x.jpg", color=COLORS[2]))
        id = some.hits[0].id
        for wrong in ("colour=red", "top_k=many", "ranking=best"):
            visit.page.goto(f"{client.base_url}/#of={id}&{wrong}")
            visit.page.reload()
            told = visit.problem()
            assert "clear the filters" in told
            assert "openapi" not in told
            assert "image_id" not in told
            expect(visit.page.get_by_role("button", name="Try again")).to_be_hidden()
            visit.page.get_by_role("button", name="Clear the filters").click()
            visit.hits()
            expect(visit.page.locator("#problem")).to_be_hidden()


def test_trying_again_is_offered_where_it_may_help(
    browser: Browser, gallery: Gallery, market: Path, tmp_path: Path
) -> None:
    (tmp_path / "letter.jpg").write_text("Dear all, ...")
    with served(gallery) as client, visiting(browser, str(client.base_url)) as opened:
        again = opened.page.get_by_role("button", name="Try again")
        opened.choose(tmp_path / "letter.jpg")
        opened.problem()
        expect(again).to_be_hidden()
        opened.page.get_by_role("button", name="Remove picture 1").click()
        expect(opened.page.locator("#problem")).to_be_hidden()
        opened.choose(market / PROBE)
        opened.hits()
        opened.page.reload()  # which loses it
        assert "Choose it again" in opened.problem()
        expect(again).to_be_hidden()


def test_what_goes_wrong_far_below_is_told_where_it_is_seen(
    browser: Browser, gallery: Gallery, market: Path
) -> None:
    with served(gallery) as client, visiting(browser, str(client.base_url)) as visit:
        visit.choose(market / PROBE)
        visit.hits()
        last = visit.page.locator("#found .card").last
        shown = gallery.query(market / PROBE, top_k=20).hits[-1]
        expect(last.locator("[data-enlarge]")).to_have_attribute("data-enlarge", str(shown.id))
        last.scroll_into_view_if_needed()
        assert visit.page.evaluate("scrollY") > 0
        gallery.forget(images=[shown.path])
        last.get_by_role("button", name="enlarge").click()
        assert "No stored image" in visit.problem()
        expect(visit.page.locator("#problem")).to_be_in_viewport(ratio=1)


def test_a_defect_is_told_with_the_requests_id(
    browser: Browser, gallery: Gallery, market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(gallery) as client, visiting(browser, str(client.base_url)) as visit:
        monkeypatch.setattr(fragments, "answer", lambda *_, **__: 1 / 0)
        visit.choose(market / PROBE)
        assert "a defect in reidsearch" in visit.problem()
        expect(visit.page.locator("#problem code")).to_have_text(re.compile("^[0-9a-f]{16}$"))
        expect(visit.page.get_by_role("button", name="Try again")).to_be_visible()


def test_what_takes_long_says_that_it_goes_on_and_why(
    browser: Browser, gallery: Gallery, market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    traced = gallery.trace

    def slow(*given: object, **more: object) -> object:
        go_on.wait()
        return traced(*given, **more, min_score=0.5)  # type: ignore[arg-type]

    monkeypatch.setattr(gallery, "trace", slow)
    with served(gallery) as client, visiting(browser, str(client.base_url)) as visit:
        waiting = visit.page.locator("#waiting")
        visit.choose(market / PROBE)
        visit.hits()
        expect(waiting).to_be_hidden()
        visit.page.get_by_label("Trace", exact=True).check()
        expect(waiting).to_contain_text("first trace of a gallery learns from it")
        visit.page.get_by_role("button", name="Remove picture 1").click()
        expect(waiting).to_be_hidden()
        expect(visit.page.locator("#found")).to_contain_text("Choose a picture of a person")
        visit.page.go_back()
        expect(waiting).to_contain_text("Still tracing")
        go_on.set()
        expect(visit.page.locator("#found .lane").first).to_be_visible()
        expect(waiting).to_be_hidden()
