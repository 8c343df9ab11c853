"""The page at ``/`` in a real browser, over a real service and a real gallery."""

import csv
import itertools
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, FileChooser, Locator, expect

from reidsearch.config import Config, load
from reidsearch.demo import pedestrians
from reidsearch.gallery import Gallery
from reidsearch.service import page
from reidsearch.service.limits import Limits
from reidsearch.service.tokens import Role, Tokens
from tests.browser import NARROW, WIDE, Visit, visiting
from tests.serving import served, until
from tests.test_serve import PROBE

CAMERAS = {1: "gate", 2: "lobby", 3: "garage", 4: "roof"}
BEGAN = datetime(2024, 5, 1, 6, tzinfo=UTC).timestamp()
NAME = re.compile(r"(-?\d+)_c(\d)s(\d)_(\d+)_\d+\.jpg")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn people as an operator has them: crops with cameras and times, and no word of who is
    who; in ``probes`` a picture of each person."""
    root = tmp_path_factory.mktemp("world")
    pedestrians.draw_dataset(root / "drawn", identities=8)
    (root / "crops").mkdir()
    (root / "probes").mkdir()
    rows: list[tuple[str, str, str]] = []
    for file in sorted((root / "drawn/bounding_box_test").iterdir()):
        found = NAME.fullmatch(file.name)
        assert found is not None
        _, camera, sequence, frame = map(int, found.groups())
        taken = datetime.fromtimestamp(BEGAN + 3600 * (sequence - 1) + frame / 4, UTC)
        name = f"{len(rows):04d}.jpg"
        file.rename(root / "crops" / name)
        rows.append((name, CAMERAS[camera], taken.isoformat()))
    with (root / "crops.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerows([("path", "camera", "timestamp"), *rows])
    for number, file in enumerate(sorted((root / "drawn/query").iterdir()), start=1):
        file.rename(root / f"probes/{number}.jpg")
    return root


@pytest.fixture(scope="session")
def people(world: Path) -> Iterator[Gallery]:
    """A gallery of these, as the shipped encoder sees them."""
    settings = load({"data_dir": str(world / "home"), "timezone": "Europe/Berlin"})
    with Gallery(settings, purpose="test") as opened:
        opened.ingest(world / "crops.csv", root=world / "crops", name="station")
        yield opened


@pytest.fixture(scope="session")
def url(people: Gallery) -> Iterator[str]:
    with served(people) as client:
        yield str(client.base_url)


@pytest.fixture
def visit(browser: Browser, url: str) -> Iterator[Visit]:
    with visiting(browser, url) as opened:
        yield opened


@pytest.fixture
def picture(world: Path) -> Path:
    return world / "probes/1.jpg"


def photograph(world: Path, path: Path, *, at: int = 3, people: int = 4) -> Path:
    """A whole photograph with so many people side by side, the ``at``-th of whom is the first
    probe's."""
    whole = Image.new("RGB", (200 * people, 300), (120, 130, 110))
    for place in range(people):
        number = 1 if place == at else place + 3
        person = Image.open(world / f"probes/{number}.jpg").resize((100, 200))
        whole.paste(person, (200 * place + 50, 50))
    whole.save(path)
    return path


def shot(request: pytest.FixtureRequest, visit: Visit, name: str) -> None:
    """Keep a picture of the page where --screenshots asks for it."""
    folder = request.config.getoption("--screenshots")
    if folder:
        visit.page.screenshot(path=Path(str(folder)) / f"{name}.png")


def asked(visit: Visit) -> dict[str, list[str]]:
    """The question in the address."""
    return parse_qs(urlsplit(visit.page.url).fragment)


def told(visit: Visit) -> str:
    """What a screen reader says of the answer."""
    return visit.page.locator("#said").inner_text()


def hit(visit: Visit, rank: int) -> Locator:
    return visit.page.locator("#found .card").nth(rank - 1)


def test_a_chosen_picture_is_answered_as_the_library_answers(
    visit: Visit, people: Gallery, picture: Path, request: pytest.FixtureRequest
) -> None:
    visit.choose(picture)
    expected = people.query(picture.read_bytes(), name=picture.name, top_k=20)
    assert visit.hits(20) == [str(one.id) for one in expected.hits]
    best = expected.hits[0]
    shown = hit(visit, 1).inner_text()
    assert f"{best.score:.3f}" in shown
    assert str(best.camera) in shown
    document = expected.document()["hits"][0]["time"]
    assert document is not None
    date, _, clock = document.partition("T")
    assert date in shown
    assert clock in shown  # of the gallery's zone, with its offset
    assert f"{best.score:.3f}" in told(visit)
    loaded = "all => all.every(one => one.complete && one.naturalWidth > 0)"
    assert visit.page.locator("#found img").evaluate_all(loaded)
    shot(request, visit, "hits")


def test_a_picture_is_dropped_or_pasted(visit: Visit, picture: Path, tmp_path: Path) -> None:
    visit.drop(picture)
    dropped = visit.hits(20)
    expect(visit.page.locator("#together img")).to_have_count(1)
    visit.page.reload()
    Image.open(picture).save(tmp_path / "copied.png")
    visit.paste(tmp_path / "copied.png")
    assert visit.hits(20) == dropped


def test_several_pictures_are_one_question(visit: Visit, people: Gallery, world: Path) -> None:
    mine = [world / "probes/1.jpg", world / "probes/2.jpg"]
    visit.choose(*mine)
    first = visit.hits(20)
    together = people.query([one.read_bytes() for one in mine], top_k=20)
    assert first == [str(one.id) for one in together.hits]
    visit.page.get_by_role("button", name="Remove picture 2").click()
    expect(visit.page.locator("#together li")).to_have_count(1)
    visit.settled()
    assert visit.hits(20) != first
    visit.choose(mine[1], another=True)
    expect(visit.page.locator("#together li")).to_have_count(2)
    visit.settled()
    assert visit.hits(20) == first


def test_a_person_is_cut_out_of_a_photograph_with_the_mouse(
    visit: Visit, people: Gallery, world: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    visit.choose(photograph(world, tmp_path / "scene.png"))
    expect(visit.page.locator("#crop")).to_be_visible()
    stage = visit.page.locator("#crop-picture").bounding_box()
    assert stage is not None

    def point(x: float, y: float) -> tuple[float, float]:
        return stage["x"] + x / 800 * stage["width"], stage["y"] + y / 300 * stage["height"]

    mouse = visit.page.mouse
    mouse.move(*point(640, 40))
    mouse.down()
    mouse.move(*point(700, 150), steps=4)
    mouse.move(*point(770, 260), steps=4)
    mouse.up()
    mouse.move(*point(640, 40))  # by its corner to where the person ends
    mouse.down()
    mouse.move(*point(650, 50), steps=3)
    mouse.up()
    mouse.move(*point(769, 259))
    mouse.down()
    mouse.move(*point(750, 250), steps=3)
    mouse.up()
    shot(request, visit, "crop")
    place = visit.page.locator("#crop-place").inner_text()
    width, height, left, top = map(int, re.findall(r"\d+", place))
    wanted = (100, 200, 650, 50)
    assert np.abs(np.subtract((width, height, left, top), wanted)).max() <= 4, place
    visit.page.get_by_role("button", name="Use the box").click()
    ids = visit.hits(20)
    expected = people.query((world / "probes/1.jpg").read_bytes(), top_k=20)
    assert set(ids[:5]) & {str(one.id) for one in expected.hits[:5]}
    visit.page.get_by_role("button", name="Crop picture 1").click()
    visit.page.get_by_role("button", name="Cancel").click()
    assert visit.hits(20) == ids


def test_the_box_is_moved_and_sized_by_touch_and_by_keyboard(
    browser: Browser, url: str, world: Path, tmp_path: Path
) -> None:
    with visiting(browser, url, size=NARROW) as visit:
        visit.choose(photograph(world, tmp_path / "scene.png"))
        place = visit.page.locator("#crop-place")
        expect(visit.page.locator("#crop-box")).to_be_focused()

        def numbers() -> list[int]:
            return list(map(int, re.findall(r"\d+", place.inner_text())))

        width, height, left, top = numbers()
        for key in ("ArrowLeft", "ArrowDown", "Shift+ArrowRight", "Shift+ArrowUp"):
            visit.page.keyboard.press(key)
        assert numbers() == [width + 8, height - 3, left - 8, top + 3]
        stage = visit.page.locator("#crop-picture").bounding_box()
        assert stage is not None
        session = visit.page.context.new_cdp_session(visit.page)
        x, y = stage["x"] + 4, stage["y"] + 4
        for kind, points in (
            ("touchStart", [{"x": x, "y": y}]),
            ("touchMove", [{"x": x + 30, "y": y + 20}]),
            ("touchMove", [{"x": x + 60, "y": y + 40}]),
            ("touchEnd", []),
        ):
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        share = 60 / stage["width"]
        assert abs(numbers()[0] - share * 800) < 12
        visit.page.keyboard.press("Escape")
        expect(visit.page.locator("#crop")).to_be_hidden()
        expect(visit.page.locator("#together li")).to_have_count(0)
        visit.choose(photograph(world, tmp_path / "scene.png"))
        visit.page.get_by_role("button", name="Use the whole picture").click()
        visit.hits(20)
        expect(visit.page.locator("#found .warnings")).to_contain_text("wider than tall")


def test_filters_narrow_the_answer_and_stay(visit: Visit, people: Gallery, picture: Path) -> None:
    visit.choose(picture)
    visit.hits(20)
    visit.page.get_by_role("checkbox", name="gate").check()
    visit.page.get_by_role("checkbox", name="roof").check()
    visit.page.get_by_label("From", exact=True).fill("2024-05-01T08:00")
    visit.page.get_by_label("To", exact=True).fill("2024-05-01T08:02")
    visit.page.get_by_label("To", exact=True).press("Enter")
    expect(visit.page.locator("#said")).to_contain_text("hit")
    expected = people.query(
        picture.read_bytes(),
        only_cameras=["gate", "roof"],
        since="2024-05-01T08:00+02:00",
        until="2024-05-01T08:02+02:00",
        top_k=20,
    )
    assert 0 < len(expected.hits) < 20
    assert visit.hits(len(expected.hits)) == [str(one.id) for one in expected.hits]
    assert asked(visit)["only_camera"] == ["gate", "roof"]
    visit.page.get_by_role("button", name="Clear the filters").click()
    visit.hits(20)
    assert set(asked(visit)) == {"of"}
    visit.page.get_by_label("Its camera").select_option("gate")
    visit.page.get_by_role("checkbox", name="own camera").check()
    own = visit.page.locator("#found .hits .card", has_text="gate")
    expect(own).to_have_count(0)
    visit.hits(20)


def test_own_camera_out_of_an_unknown_camera_is_told_with_what_to_try(
    visit: Visit, picture: Path, request: pytest.FixtureRequest
) -> None:
    visit.page.get_by_role("checkbox", name="own camera").check()
    visit.choose(picture)
    assert "“Its camera” under Filters" in visit.problem()
    shot(request, visit, "problem")
    expect(visit.page.get_by_role("checkbox", name="own camera")).to_be_checked()
    expect(visit.page.locator("#together li")).to_have_count(1)
    visit.page.get_by_label("Its camera").select_option("gate")
    visit.hits(20)
    expect(visit.page.locator("#problem")).to_be_hidden()


def test_nothing_found_says_what_to_try(visit: Visit, picture: Path) -> None:
    visit.choose(picture)
    visit.hits(20)
    visit.page.get_by_label("From", exact=True).fill("2030-01-01T00:00")
    visit.page.get_by_label("From", exact=True).press("Enter")
    expect(visit.page.locator("#found")).to_contain_text("Nothing is stored of what was asked for")
    expect(visit.page.locator("#found")).to_contain_text("clear the filters")


def test_the_answer_is_refined_by_same_and_not_this_one(
    visit: Visit, people: Gallery, picture: Path, request: pytest.FixtureRequest
) -> None:
    visit.choose(picture)
    first, *_, last = visit.hits(20)
    hit(visit, 1).get_by_role("button", name="same person").click()
    expect(visit.page.locator("#together li")).to_have_count(2)
    pressed = visit.page.locator(f'[data-same="{first}"]')
    expect(pressed).to_have_attribute("aria-pressed", "true")
    visit.page.locator(f'[data-unlike="{last}"]').click()
    expect(visit.page.locator("#unlike li")).to_have_count(1)
    expect(visit.page.locator(f'#found [data-same="{last}"]')).to_have_count(0)
    expected = people.query(
        [picture.read_bytes(), people.stored(int(first))],
        unlike=[people.stored(int(last))],
        top_k=20,
    )
    assert visit.hits(20) == [str(one.id) for one in expected.hits]
    shot(request, visit, "refined")
    pressed.click()  # taken back
    expect(visit.page.locator("#together li")).to_have_count(1)
    visit.page.get_by_role("button", name="Remove not this one 1").click()
    expect(visit.page.locator("#unlike li")).to_have_count(0)


def test_a_click_on_a_hit_asks_for_it_and_back_and_forward_work(
    visit: Visit, people: Gallery, picture: Path
) -> None:
    visit.choose(picture)
    before = visit.hits(20)
    visit.page.locator(f'[data-ask="{before[1]}"]').click()
    expect(visit.page.locator("#together img")).to_have_attribute("alt", re.compile("stored"))
    assert asked(visit)["of"] == [before[1]]
    expect(hit(visit, 1).locator("[data-same]")).to_have_attribute("data-same", before[1])
    after = visit.hits(20)
    expected = people.query(people.stored(int(before[1])), top_k=20)
    assert after == [str(one.id) for one in expected.hits]
    visit.page.go_back()
    expect(visit.page.locator("#together li[data-key=p1]")).to_have_count(1)
    visit.settled()
    assert visit.hits(20) == before
    visit.page.go_forward()
    expect(visit.page.locator(f'#together li[data-key="{before[1]}"]')).to_have_count(1)
    visit.page.reload()
    assert visit.hits(20) == after


def test_a_picture_that_a_reload_lost_is_told_of(visit: Visit, picture: Path) -> None:
    visit.choose(picture)
    visit.hits(20)
    visit.page.reload()
    assert "Choose it again" in visit.problem()


def test_more_hits_come_when_they_are_asked_for(visit: Visit, picture: Path) -> None:
    visit.choose(picture)
    first = visit.hits(20)
    visit.page.get_by_role("button", name="More").click()
    assert visit.hits(40)[:20] == first
    expect(visit.page.locator("#found")).to_be_focused()


def test_no_more_are_offered_than_the_page_shows(
    visit: Visit, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MOST", 30)
    visit.choose(picture)
    visit.hits(20)
    visit.page.get_by_role("button", name="More").click()
    visit.hits(30)
    expect(visit.page.get_by_role("button", name="More")).to_have_count(0)


def test_a_new_picture_and_its_answer_are_seen_from_their_beginning(
    visit: Visit, world: Path
) -> None:
    top = "document.getElementById('found').getBoundingClientRect().top"
    visit.choose(world / "probes/1.jpg")
    visit.hits(20)
    ways: list[Callable[[], None]] = [
        lambda: visit.choose(world / "probes/2.jpg"),
        lambda: visit.page.get_by_role("checkbox", name="gate").check(),
        lambda: visit.page.locator("#found .card button.picture").last.click(),
    ]
    for bring in ways:
        visit.page.locator("#found .card").last.scroll_into_view_if_needed()
        assert visit.page.evaluate(top) < 0
        bring()
        until(lambda: visit.page.evaluate(f"{top} >= 0"))  # the page lets no text be run in it
        visit.settled()
    visit.page.evaluate("document.getElementById('ask').scrollTop = 400")
    visit.choose(world / "probes/3.jpg")
    expect(visit.page.locator("#together li[data-key=p3]")).to_be_in_viewport(ratio=1)


def test_a_hit_is_enlarged(visit: Visit, picture: Path) -> None:
    visit.choose(picture)
    visit.hits(20)
    hit(visit, 2).get_by_role("button", name="enlarge").click()
    expect(visit.page.locator("#enlarged")).to_be_visible()
    expect(visit.page.locator("#enlarged-picture")).not_to_have_js_property("naturalWidth", 0)
    caption = visit.page.locator("#enlarged-caption").inner_text()
    assert caption.startswith("2 0.")
    assert caption.count(".jpg") == 1
    visit.page.keyboard.press("Escape")
    expect(visit.page.locator("#enlarged")).to_be_hidden()


def test_a_trace_has_a_lane_for_each_camera_and_details_on_hover_and_focus(
    visit: Visit, people: Gallery, picture: Path, request: pytest.FixtureRequest
) -> None:
    visit.choose(picture)
    visit.hits(20)
    visit.page.get_by_label("Trace", exact=True).check()
    expect(visit.page.locator("#found .lane.axis")).to_be_visible()
    expected = people.trace(picture.read_bytes())
    cameras = {str(stay.camera) for stay in expected.stays}
    lanes = visit.page.locator("#found section.lane h3").all_inner_texts()
    assert set(lanes) == cameras
    assert visit.page.locator("#found .card").count() == len(expected.stays)
    mark = visit.page.locator("#found .track a").first
    details = visit.page.locator("#details")
    mark.hover()
    expect(details).to_be_visible()
    expect(details).to_contain_text(f"{expected.stays[0].hits[0].score:.3f}"[:2])
    assert details.locator("img").count() == 1
    shot(request, visit, "trace")
    visit.page.keyboard.press("Escape")
    expect(details).to_be_hidden()
    mark.focus()
    expect(details).to_be_visible()
    visit.page.keyboard.press("Enter")  # on to the stay's picture
    expect(details).to_be_hidden()
    focused = visit.page.locator("#found .card button.picture:focus")
    expect(focused).to_have_count(1)
    visit.page.keyboard.press("Enter")  # which is the next probe
    expect(visit.page.locator("#together img")).to_have_attribute("alt", re.compile("stored"))
    assert asked(visit)["view"] == ["trace"]
    visit.page.go_back()
    visit.page.go_back()
    visit.hits(20)


def test_a_trace_is_of_all_pictures_and_not_of_who_is_not_meant(
    visit: Visit, people: Gallery, picture: Path
) -> None:
    visit.choose(picture)
    first, *_, last = visit.hits(20)
    hit(visit, 1).get_by_role("button", name="same person").click()
    expect(visit.page.locator("#together li")).to_have_count(2)
    visit.page.locator(f'#found [data-unlike="{last}"]').click()
    expect(visit.page.locator("#unlike li")).to_have_count(1)
    visit.settled()
    visit.page.get_by_label("Trace", exact=True).check()
    expect(visit.page.locator("#found .lane.axis")).to_be_visible()
    expected = people.trace(
        [picture.read_bytes(), people.stored(int(first))], unlike=people.stored(int(last))
    )
    best = {str(stay.hits[0].id) for stay in expected.stays}
    cards = visit.page.locator("#found .card [data-same]").all()
    assert {one.get_attribute("data-same") for one in cards} == best
    asked_here, asked_there = people.audit()[-2:]
    assert (asked_here.together, asked_here.unlike) == (asked_there.together, asked_there.unlike)
    visit.page.locator("#found [data-unlike]").last.click()  # somebody else was among them
    expect(visit.page.locator("#unlike li")).to_have_count(2)
    visit.settled()
    assert asked(visit)["view"] == ["trace"]


def test_a_trace_of_nobody_says_how_near_the_nearest_is(visit: Visit, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (128, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    visit.choose(tmp_path / "noise.png")
    visit.hits(20)
    visit.page.get_by_label("Trace", exact=True).check()
    expect(visit.page.locator("#found h2")).to_contain_text("Nobody")
    expect(visit.page.locator("#found")).to_contain_text("below the threshold")
    expect(visit.page.locator("#found")).to_contain_text("Another picture of this person")


def test_right_and_wrong_are_told_by_a_mark_where_they_are_known(
    browser: Browser, gallery: Gallery, market: Path
) -> None:
    with served(gallery) as client, visiting(browser, str(client.base_url)) as visit:
        visit.choose(market / PROBE)
        visit.hits()
        marks = "all => all.map(one => getComputedStyle(one, '::after').content)"
        found = set(visit.page.locator("#found .card .picture").evaluate_all(marks))
        assert {'"✓"', '"✗"'} <= found


@pytest.mark.parametrize(("dark", "size"), list(itertools.product((False, True), (WIDE, NARROW))))
def test_nothing_is_hard_to_use_in_the_light_or_dark_wide_or_narrow(
    browser: Browser,
    url: str,
    picture: Path,
    request: pytest.FixtureRequest,
    dark: bool,
    size: tuple[int, int],
) -> None:
    name = f"{'dark' if dark else 'light'}-{'narrow' if size == NARROW else 'wide'}"
    with visiting(browser, url, dark=dark, size=size) as visit:
        expect(visit.page.locator("#filter-fields")).not_to_have_attribute("aria-busy", "true")
        usable(visit)
        shot(request, visit, f"{name}-start")
        visit.choose(picture)
        visit.hits(20)
        usable(visit)
        shot(request, visit, f"{name}-hits")
        visit.page.get_by_label("Trace", exact=True).check()
        expect(visit.page.locator("#found .lane.axis")).to_be_visible()
        visit.settled()
        usable(visit)
        shot(request, visit, f"{name}-trace")
        paper = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(13, 17, 23)" if dark else "rgb(255, 255, 255)")


def usable(visit: Visit) -> None:
    """Fail where axe finds something, the page is wider than the window, what can be pressed is
    smaller than a finger, or words are cut."""
    visit.page.wait_for_timeout(300)  # what fades is not seen as it is
    found = Axe().run(visit.page).response["violations"]
    assert not [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found]
    assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    small = """() => [...document.querySelectorAll("button, select, summary, fieldset label")]
      .filter((one) => one.checkVisibility({ visibilityProperty: true }))
      .filter((one) => !one.closest("dialog:not([open])"))
      .filter((one) => one.offsetHeight < 44 || one.offsetWidth < 44).map((one) => one.outerHTML)"""
    assert visit.page.evaluate(small) == []
    cut = """() => [...document.querySelectorAll("#found figcaption, #found button")]
      .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.outerHTML)"""
    assert visit.page.evaluate(cut) == []


def test_all_of_it_works_by_keyboard(visit: Visit, picture: Path) -> None:
    keyboard = visit.page.keyboard
    choosers: list[FileChooser] = []
    visit.page.on("filechooser", lambda one: choosers.append(one))

    def focused() -> str:
        said: str = visit.page.evaluate(
            "(document.activeElement.id || document.activeElement.name || '') + ' ' +"
            " (document.activeElement.ariaLabel || document.activeElement.textContent.trim())"
            ".slice(0, 40)"
        )
        return said

    def tab_to(words: str) -> None:
        for _ in range(60):
            keyboard.press("Tab")
            if words in focused():
                return
        raise AssertionError(f"{words} is never reached, {focused()} is last")

    keyboard.press("Tab")
    assert "Skip" in focused()
    tab_to("choose")
    keyboard.press("Enter")
    while not choosers:
        visit.page.wait_for_timeout(50)
    choosers[0].set_files(picture)
    visit.hits(20)
    tab_to("view")
    keyboard.press("ArrowRight")
    expect(visit.page.locator("#found .lane.axis")).to_be_visible()
    keyboard.press("ArrowLeft")
    visit.hits(20)
    tab_to("only_camera")
    keyboard.press("Space")
    expect(visit.page.locator("#said")).to_contain_text("gate")
    visit.settled()
    tab_to("same person, hit 1")
    keyboard.press("Enter")
    expect(visit.page.locator("#together li")).to_have_count(2)
    expect(visit.page.locator("#found")).to_be_focused()


def test_names_of_files_are_broken_between_their_parts_alone(
    browser: Browser, gallery: Gallery, market: Path
) -> None:
    with served(gallery) as client, visiting(browser, str(client.base_url)) as visit:
        visit.choose(market / PROBE)
        visit.hits()
        broken = """() => {
          const parts = document.createTreeWalker(document.getElementById("found"), 4), broken = [];
          while (parts.nextNode()) {
            const range = document.createRange();
            range.selectNodeContents(parts.currentNode);
            const isName = /_|\\.jpg/.test(parts.currentNode.data);
            if (isName && range.getClientRects().length > 1) broken.push(parts.currentNode.data);
          }
          return broken;
        }"""
        assert visit.page.evaluate(broken) == []


def test_who_removes_a_picture_by_keyboard_goes_on_from_where_it_was(
    visit: Visit, world: Path
) -> None:
    visit.choose(world / "probes/1.jpg", world / "probes/2.jpg", world / "probes/3.jpg")
    visit.hits(20)
    remove = visit.page.locator("#together button", has_text="Remove")
    remove.nth(1).focus()
    visit.page.keyboard.press("Enter")
    expect(remove).to_have_count(2)
    expect(remove.nth(1)).to_be_focused()
    expect(remove.nth(1)).to_have_accessible_name("Remove picture 2")
    expect(visit.page.locator("#together img").nth(1)).to_have_attribute("alt", "picture 2: 3.jpg")
    visit.page.keyboard.press("Enter")
    expect(remove).to_have_count(1)
    expect(remove).to_be_focused()
    visit.page.keyboard.press("Enter")
    expect(remove).to_have_count(0)
    expect(visit.page.locator("#choose")).to_be_focused()


def test_the_page_does_not_jump_while_it_fills(visit: Visit, picture: Path) -> None:
    watch = """() => { window.jumps = 0; new PerformanceObserver((list) => {
      for (const one of list.getEntries()) if (!one.hadRecentInput) window.jumps += one.value;
    }).observe({ type: "layout-shift", buffered: true }); }"""
    visit.page.evaluate(watch)
    visit.choose(picture)
    visit.hits(20)
    assert visit.page.evaluate("window.jumps") < 0.1


def test_a_question_asks_the_service_once_and_for_nothing_else(visit: Visit, picture: Path) -> None:
    visit.choose(picture)
    visit.hits(20)
    visit.requests.clear()
    visit.choose(picture)
    expect(visit.page.locator("#together li[data-key=p2]")).to_have_count(1)
    visit.settled()
    visit.page.wait_for_timeout(500)  # what a step of the address sets off comes later
    assert [urlsplit(one).path for one in visit.requests if one.startswith("http")] == [
        "/page/answer"
    ]


def test_what_is_no_picture_is_told_and_nothing_is_lost(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "letter.jpg").write_text("Dear all, ...")
    visit.page.get_by_role("checkbox", name="lobby").check()
    visit.choose(tmp_path / "letter.jpg")
    assert "letter.jpg" in visit.problem()
    assert "picture of one person" in visit.problem()
    expect(visit.page.get_by_role("checkbox", name="lobby")).to_be_checked()
    expect(visit.page.locator("#together .gone")).to_contain_text("cannot show it")


def test_a_picture_that_is_gone_from_the_disk_is_still_asked_with(
    visit: Visit, picture: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.jpg").write_bytes(picture.read_bytes())
    visit.choose(tmp_path / "mine.jpg")
    first = visit.hits(20)
    (tmp_path / "mine.jpg").unlink()
    visit.page.get_by_role("button", name="More").click()
    assert visit.hits(40)[:20] == first


def test_a_folder_is_told_from_a_picture(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "crops").mkdir()
    visit.drop(tmp_path / "crops")
    assert "crops cannot be read" in visit.problem()
    assert not [one for one in visit.requests if "answer" in one]


def test_a_picture_that_is_too_large_is_told_before_it_is_sent(
    browser: Browser, people: Gallery, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (400, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png")
    with (
        served(people, Limits(body=100_000)) as client,
        visiting(browser, str(client.base_url)) as visit,
    ):
        visit.choose(tmp_path / "large.png")
        assert "0.1 may be sent" in visit.problem()
        assert not [one for one in visit.requests if "answer" in one]


def test_an_empty_gallery_says_how_it_is_filled(browser: Browser, settings: Config) -> None:
    with (
        Gallery(settings, purpose="test") as empty,
        served(empty) as client,
        visiting(browser, str(client.base_url)) as visit,
    ):
        assert "reidsearch ingest" in visit.problem()


def test_a_service_that_has_ended_is_told_and_asked_again(
    browser: Browser, gallery: Gallery, market: Path, settings: Config
) -> None:
    with served(gallery) as client:
        opened = visiting(browser, str(client.base_url))
        visit = opened.__enter__()
        visit.choose(market / PROBE)
        visit.hits()
    visit.page.get_by_role("button", name="Clear the filters").click()
    visit.page.get_by_role("checkbox", name="cam 2").check()
    assert "does not answer" in visit.problem()
    expect(visit.page.locator("#together li")).to_have_count(1)
    expect(visit.page.get_by_role("button", name="Try again")).to_be_visible()
    opened.__exit__(None, None, None)


def test_who_was_forgotten_meanwhile_is_gone(
    browser: Browser, gallery: Gallery, market: Path
) -> None:
    with served(gallery) as client, visiting(browser, str(client.base_url)) as visit:
        visit.choose(market / PROBE)
        first = visit.hits()[0]
        visit.page.locator(f'[data-ask="{first}"]').click()
        expect(visit.page.locator("#together img")).to_have_attribute("alt", re.compile("stored"))
        assert visit.hits()[0] == first
        gallery.forget(identity=2)
        hit(visit, 1).get_by_role("button", name="enlarge").click()
        assert "No stored image" in visit.problem()
        visit.page.get_by_role("checkbox", name="cam 2").check()
        assert "may have been forgotten" in visit.problem()
        expect(visit.page.locator("#found img")).to_have_count(0)
        visit.page.reload()
        expect(visit.page.locator("#together .gone")).to_contain_text("No stored image")
        visit.page.get_by_role("button", name="Remove picture 1").click()
        visit.choose(market / "query/0003_c1s1_000001_00.jpg")
        assert first not in visit.hits()


def test_a_token_is_asked_for_once_and_every_search_is_its_owners(
    browser: Browser, gallery: Gallery, market: Path, request: pytest.FixtureRequest
) -> None:
    token = Tokens(gallery.config.data_dir).add("ann", Role.SEARCH)
    with served(gallery) as client, visiting(browser, str(client.base_url)) as visit:
        dialog = visit.page.locator("#sign-in")
        expect(dialog).to_be_visible()
        assert not Axe().run(visit.page).response["violations"]
        shot(request, visit, "sign-in")
        visit.page.get_by_label("Token").fill("reid_wrong")
        visit.page.keyboard.press("Enter")
        expect(dialog).to_contain_text("not known here")
        visit.page.get_by_label("Token").fill(token)
        visit.page.keyboard.press("Enter")
        expect(dialog).to_be_hidden()
        visit.choose(market / PROBE)
        first = visit.hits()[0]
        visit.page.locator(f'[data-ask="{first}"]').click()
        expect(visit.page.locator("#together img")).to_have_attribute("alt", re.compile("stored"))
        visit.settled()
        visit.page.reload()
        visit.hits()
        assert {one.operator for one in gallery.audit()} == {"ann"}
        assert token not in visit.page.url
        assert visit.page.context.cookies() == []
        visit.page.get_by_role("button", name="Sign out").click()
        expect(dialog).to_be_visible()


def test_the_page_and_its_files_are_open_and_nothing_else_is(
    gallery: Gallery, market: Path
) -> None:
    Tokens(gallery.config.data_dir).add("ann", Role.SEARCH)
    with served(gallery) as client:
        page = client.get("/").text
        for url in re.findall(r'(?:src|href)="(/[^"]+)"', page):
            assert client.get(url).status_code == 200, url
        for url in ("/page/filters", "/page/answer", "/page/../tokens.json", "/page/app"):
            assert client.get(url).status_code == 401, url
        assert client.post("/page/answer").status_code == 401
        assert "cam" not in re.sub(r"[Cc]amera", "", page)


def test_fields_that_the_page_does_not_have_are_refused(gallery: Gallery) -> None:
    with served(gallery) as client:
        for url in ("/page/answer", "/page/trace"):
            answer = client.post(url, data={"image_id": 1, "path": "/etc/passwd"})
            assert answer.status_code == 422
            assert "path" in answer.json()["detail"]
        assert client.post("/page/trace").status_code == 422
        assert client.get("/page/nothing.js").status_code == 404
        assert isinstance(client, httpx.Client)
