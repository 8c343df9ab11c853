import base64
import io
import itertools
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from jinja2 import UndefinedError
from PIL import Image, ImageColor, ImageDraw
from playwright.sync_api import Browser

from reidsearch.errors import UsageError
from reidsearch.search.answer import Answer, Asked, Hit
from reidsearch.views import captions, cards, pages, painter, sheet, strip, verdicts
from reidsearch.views.made import Made
from reidsearch.views.palette import DARK, LIGHT, Palette
from tests.conftest import COLORS, write_crop
from tests.page import facts, loads_nothing, parsed


def hit(
    rank: int,
    path: Path,
    *,
    identity: int | str | None,
    camera: int | str | None = 2,
    site: str = "main",
) -> Hit:
    return Hit(
        rank=rank,
        score=1 - rank / 10,
        id=rank,
        identity=identity,
        camera=camera,
        sequence=1,
        frame=1,
        timestamp=None,
        split="gallery",
        dataset="crops",
        site=site,
        path=str(path),
    )


@pytest.fixture
def answer(tmp_path: Path) -> Answer:
    crops = [write_crop(tmp_path / f"{i}.jpg", color=COLORS[i]) for i in (1, 2, 3)]
    hits = (
        hit(1, crops[0], identity=7),
        hit(2, crops[1], identity=8),
        hit(3, crops[2], identity=None),
        hit(4, tmp_path / "gone <b>.jpg", identity=0),
        hit(5, crops[2], identity=-1),
    )
    return Answer(str(crops[0]), 1, 7, "main", hits)


def count(pixels: np.ndarray, color: str) -> int:
    return int((pixels == ImageColor.getrgb(color)).all(2).sum())


def test_the_verdict_is_known_only_where_both_identities_are(answer: Answer) -> None:
    told = [verdicts.verdict(answer, h) for h in answer.hits]
    assert told == [True, False, None, False, None]
    nobody = replace(answer, identity=None)
    assert {verdicts.verdict(nobody, h) for h in nobody.hits} == {None}


def test_a_name_means_somebody_at_one_site(answer: Answer, tmp_path: Path) -> None:
    here, there = (hit(1, tmp_path / "x.jpg", identity=7, site=site) for site in ("main", "else"))
    assert [verdicts.verdict(answer, h) for h in (here, there)] == [True, False]
    assert verdicts.verdict(replace(answer, site=None), here) is None
    alice = replace(answer, identity="alice")
    hits = [hit(1, tmp_path / "x.jpg", identity=who) for who in ("alice", "bob", 7)]
    assert [verdicts.verdict(alice, h) for h in hits] == [True, False, False]


def frame_area() -> int:
    """Pixels of a frame's colour: its outside less the picture, without corners and mark."""
    height, width = sheet.THUMBNAIL
    return (height + 2 * painter.FRAME) * (width + 2 * painter.FRAME) - height * width


def test_a_png_frames_each_hit_in_its_verdicts_color_and_marks_it(
    tmp_path: Path, answer: Answer
) -> None:
    sheet.save([answer, answer], tmp_path / "sheet.png")
    pixels = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB"))
    # Marks cover a part of the picture, and a legend has one of each.
    for color, hits in ((LIGHT.right, 1), (LIGHT.wrong, 2), (LIGHT.unsure, 2)):
        area = 2 * hits * (frame_area() + 150) + 200
        assert count(pixels, color) == pytest.approx(area, rel=0.05), color
    # Told by more than their colour: marks differ in shape.
    shapes = []
    for kind in ("right", "wrong", "unsure"):
        image = Image.new("RGB", (painter.BADGE,) * 2)
        painter.mark(ImageDraw.Draw(image), kind, (0, 0))
        shapes.append((np.asarray(image) != ImageColor.getrgb(painter.color(kind))).any(2))
        assert 10 < shapes[-1].sum() < 100
    assert not any((a == b).all() for a, b in itertools.combinations(shapes, 2))


def test_a_file_that_is_gone_is_a_blank_that_says_so_in_every_kind_of_sheet(
    answer: Answer, tmp_path: Path
) -> None:
    (tmp_path / "torn.jpg").write_bytes(Path(answer.hits[0].path).read_bytes()[:200])
    torn = replace(answer.hits[1], path=str(tmp_path / "torn.jpg"))
    page = parsed(sheet.html([replace(answer, hits=(answer.hits[0], torn, answer.hits[3]))]))
    gone = page.all("div", "gone")
    assert [one.text for one in gone][1] == "no such file"
    assert gone[0].text.startswith("damaged or truncated")
    assert [one.values["aria-label"] for one in gone][1].endswith("gone <b>.jpg, another")
    caption = captions.Caption(("4", "0.6"), ())
    blank, named = (
        painter.card(why, (192, 96), "wrong", caption, lines=0) for why in ("", "no such file")
    )
    inside = (8, 80, 96, 120)
    assert len(set(blank.crop(inside).get_flattened_data())) > 1  # crossed out
    assert blank.crop(inside).tobytes() != named.crop(inside).tobytes()


@pytest.mark.parametrize("size", [(64, 64), (32, 128), (128, 32), (200, 400)])
def test_pictures_keep_their_shape(tmp_path: Path, answer: Answer, size: tuple[int, int]) -> None:
    picture = tmp_path / "shape.png"
    Image.new("RGB", size, (250, 0, 250)).save(picture)
    odd = replace(answer, query=str(picture), hits=())
    (row,) = cards.rows([odd])
    shown = Image.open(io.BytesIO(base64.b64decode(row.asked[0].picture.partition(",")[2])))
    assert shown.width / shown.height == pytest.approx(size[0] / size[1], rel=0.02)
    assert shown.width <= size[0]  # the file's own pixels, no more
    pixels = np.asarray(sheet.draw([odd]))
    rows, columns = np.nonzero((pixels == (250, 0, 250)).all(2))
    drawn = (columns.max() - columns.min() + 1) / (rows.max() - rows.min() + 1)
    assert drawn == pytest.approx(size[0] / size[1], rel=0.03)


def test_an_html_sheet_holds_its_pictures_and_escapes_names(tmp_path: Path, answer: Answer) -> None:
    made = Made("reidsearch query 'a <b>.jpg'", when=1714557600.0)
    sheet.save([answer], tmp_path / "sheet.html", made)
    page = (tmp_path / "sheet.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 5
    assert "gone &lt;b&gt;.jpg" in page
    assert "<b>.jpg" not in page
    assert page == sheet.html([answer], made)
    assert page.index("probe") < page.index("0.900") < page.index("0.800")
    assert "http" not in page
    loads_nothing(parsed(page))


def test_a_sheet_says_what_was_asked_of_what_how_when_and_by_which_command(answer: Answer) -> None:
    when = datetime(2024, 5, 1, 10, tzinfo=UTC).timestamp()
    berlin = replace(answer, zone=ZoneInfo("Europe/Berlin"))
    page = parsed(sheet.html([berlin, berlin], Made("reidsearch query x.jpg", when)))
    assert page.one("h1").text == page.one("title").text == "2 queries in crops"
    assert facts(page) == {
        "ranked by": "cosine",
        "made": "2024-05-01 12:00:00+02:00",
        "command": "reidsearch query x.jpg",
    }
    legend = page.one("ul", "legend")
    assert {one.classes[0]: one.text for one in legend.all("li")} == verdicts.MEANINGS
    plain = sheet.draw([answer], Made(when=when))
    longer = sheet.draw([answer], Made("reidsearch query x.jpg", when))
    assert longer.height > plain.height
    for kind in ("right", "wrong", "unsure"):
        assert count(np.asarray(sheet.draw([], Made()).convert("RGB")), painter.color(kind)) > 100


def test_a_command_with_a_thousand_files_is_cut_in_its_middle(answer: Answer) -> None:
    command = f"reidsearch query {' '.join(map(str, range(1000)))} --save x.html"
    told = facts(parsed(sheet.html([answer], Made(command))))["command"]
    assert len(told) < 500
    assert told.startswith("reidsearch query 0 1 ")
    assert told.endswith(" 999 --save x.html")


def test_each_hit_tells_rank_score_whom_where_when_and_its_file(
    answer: Answer, tmp_path: Path
) -> None:
    timed = replace(answer.hits[1], timestamp=1714557600.0, camera="lobby", identity="alice")
    page = parsed(sheet.html([replace(answer, hits=(timed,), zone=ZoneInfo("UTC"))]))
    _, card = page.all("figure", "card")
    assert card.one("figcaption").text == ("2 0.800 alice lobby 2024-05-01 10:00:00+00:00 2.jpg")
    assert card.values["title"] == card.one("span", "path").text == timed.path


def test_of_one_query_the_picture_is_named_and_many_hits_stand_in_rows(answer: Answer) -> None:
    assert sheet.title([answer]) == "Query 1.jpg in crops"
    few, many = (sheet.draw([replace(answer, hits=answer.hits[:1] * n)]) for n in (10, 25))
    _, height = painter.card_size(sheet.THUMBNAIL, lines=2)
    assert many.width == few.width
    assert many.height == few.height + 2 * (height + painter.GAP)


def test_a_click_on_a_picture_enlarges_it_without_a_script(answer: Answer) -> None:
    page = parsed(sheet.html([answer]))
    labels = page.all("label", "picture")
    assert len(labels) == 5
    for label in labels:
        box = label.one("input")
        assert (box.values["type"], box.values["aria-label"]) == ("checkbox", "enlarge")
    style = page.one("style").text
    assert ":has(input:checked)" in style
    assert "position: fixed" in style


def test_ten_hits_stand_beside_the_probe_on_a_page_of_1265_pixels() -> None:
    """What a window of 1280 leaves beside its scroll bar."""
    style = pages.stylesheet()
    tokens = dict(re.findall(r"--(card|gap): (\d+)px", style.split("@media")[0]))
    card, gap = int(tokens["card"]), int(tokens["gap"])
    probe, around, between = card, 2 * 20, 20
    assert around + probe + between + 10 * card + 9 * gap <= 1265


def test_all_colours_come_from_one_place_in_light_dark_and_print() -> None:
    style = pages.stylesheet()
    for palette in (LIGHT, DARK):
        for name, color in palette._asdict().items():
            assert f"--{name}: {color};" in style
    assert style.count("prefers-color-scheme: dark") == 1
    assert "@media print" in style
    rules = re.sub(r"--[\w-]+: [^;]*;|\[(fill|stroke)=[^]]*\]", "", style)
    assert not re.search(r"#[0-9a-f]{3,8}\b", rules)


def contrast(one: str, other: str) -> float:
    """As the Web Content Accessibility Guidelines 2.2 define it."""

    def luminance(color: str) -> float:
        parts = [value / 255 for value in ImageColor.getrgb(color)[:3]]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    least, most = sorted((luminance(one), luminance(other)))
    return (most + 0.05) / (least + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_words_and_marks_can_be_told_from_what_they_stand_on(palette: Palette) -> None:
    for name in ("ink", "quiet", "accent", "right", "wrong", "unsure"):
        assert contrast(getattr(palette, name), palette.paper) >= 4.5, name
    assert contrast(palette.quiet, palette.well) >= 4.5  # why a picture is not there


def test_a_strip_for_terminals_keeps_to_its_width(answer: Answer) -> None:
    for width in (80, 300, 2000):
        image = strip.draw(answer, width=width)
        assert image.width <= max(width, 80)
    one, two = strip.draw(answer, width=2000), strip.draw(answer, width=image.width // 2)
    assert one.height < two.height


HOSTILE = "</style></title>\"'><script>alert(1)</script>\udcff&{{ 7 * 7 }}{% raw %}.jpg"


class Tags(HTMLParser):
    """The elements of a page and their attributes, without places where a line may break."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.values: list[tuple[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "wbr":
            self.names.append(tag)
            self.values += attrs


def test_hostile_names_are_text_in_every_template(answer: Answer) -> None:
    def of(path: str, command: str) -> str:
        hits = tuple(replace(hit, path=path, dataset=path) for hit in answer.hits)
        return sheet.html([replace(answer, query=path, hits=hits)], Made(command))

    words = re.sub(r"[^ ]+", "x", HOSTILE)  # each of a command's is an element
    harmless, found = Tags(of("gone.jpg", words)), Tags(page := of(HOSTILE, HOSTILE))
    assert found.names == harmless.names
    shown = HOSTILE.replace("\udcff", "?")
    assert found.values.count(("title", shown)) == 6
    assert [name for name, _ in found.values] == [name for name, _ in harmless.values]
    assert page.encode("utf-8")


def test_a_template_that_lacks_a_value_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="title"):
        pages.render("sheet.html")


def test_every_rule_of_a_page_keeps_to_its_own_elements(answer: Answer) -> None:
    style = sheet.html([answer]).split("<style>")[1].split("</style>")[0]
    rules = re.findall(r"([^{}]+)\{[^{}]*\}", style)
    selectors = [part.strip() for rule in rules for part in rule.split(",")]
    assert len(selectors) > 20
    assert all(selector.startswith(".reidsearch") for selector in selectors), selectors


def test_pictures_say_what_they_are_to_who_cannot_see_them(answer: Answer) -> None:
    said = [value for name, value in Tags(sheet.html([answer])).values if name == "alt"]
    assert said[0] == "probe, id 7  cam 1, 1.jpg"
    assert said[1] == "1 0.900, id 7  cam 2, 1.jpg, the probe's identity"
    assert [words.split(", ")[-1] for words in said[2:] if words] == [
        "another", "not known", "not known"
    ]  # fmt: skip


def test_a_probe_that_is_no_file_shows_by_its_bytes(tmp_path: Path, answer: Answer) -> None:
    data = Path(answer.query).read_bytes()
    unnamed = replace(answer, query=f"elsewhere/{Path(answer.query).name}", picture=data)
    made = Made(when=0.0)
    assert sheet.draw([unnamed], made).tobytes() == sheet.draw([answer], made).tobytes()
    broken = replace(unnamed, picture=b"no picture")
    assert sheet.draw([broken], made).tobytes() != sheet.draw([answer], made).tobytes()


def test_all_pictures_of_a_question_stand_at_its_head_and_those_of_others_are_marked(
    tmp_path: Path, answer: Answer
) -> None:
    def asked(number: int) -> Asked:
        crop = write_crop(tmp_path / f"asked/{number}.jpg", color=COLORS[1 + number % 4])
        return Asked(str(crop), 3, number, "main")

    whole = replace(answer, more=(asked(1), asked(2)), unlike=(asked(8), asked(9)))
    tags = Tags(sheet.html([whole]))
    said = [value for name, value in tags.values if name == "alt"]
    assert said[:5] == [
        "probe, id 7  cam 1, 1.jpg", "probe, id 1  cam 3, 1.jpg", "probe, id 2  cam 3, 2.jpg",
        "not, id 8  cam 3, 8.jpg", "not, id 9  cam 3, 9.jpg",
    ]  # fmt: skip
    kinds = [value for name, value in tags.values if name == "class" and "card" in str(value)]
    assert kinds[:5] == ["card probe"] * 3 + ["card not"] * 2
    plain, drawn = (np.asarray(sheet.draw([one])) for one in (answer, whole))
    more = count(drawn, LIGHT.wrong) - count(plain, LIGHT.wrong)
    assert more == pytest.approx(2 * (frame_area() + 150), rel=0.05)
    # Five pictures stand in two rows of three.
    width, height = painter.card_size(sheet.THUMBNAIL, lines=2)
    cell, row = width + painter.GAP, height + painter.GAP
    assert (drawn.shape[1] - plain.shape[1], drawn.shape[0] - plain.shape[0]) == (2 * cell, row)
    # Beside it a question with one picture has its hits in the same column.
    assert sheet.draw([whole, answer]).height == drawn.shape[0] + row


@pytest.mark.parametrize("name", ["sheet.png", "sheet.html"])
def test_an_interrupted_sheet_leaves_the_earlier_one(
    tmp_path: Path, answer: Answer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    sheet.save([answer], tmp_path / name)
    before = (tmp_path / name).read_bytes()

    def interrupted(*given: object, **named: object) -> None:
        (partial,) = tmp_path.glob("sheet*.partial")
        partial.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(sheet, "draw", interrupted)
    monkeypatch.setattr(sheet, "html", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sheet.save([answer], tmp_path / name)
    assert (tmp_path / name).read_bytes() == before
    assert [path.name for path in tmp_path.glob("sheet*")] == [name]


def test_the_template_engine_is_loaded_for_a_page_and_not_before() -> None:
    code = "import sys; from reidsearch.views import report, sheet; print('jinja2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_another_ending_is_refused(tmp_path: Path, answer: Answer) -> None:
    for name in ("sheet.gif", "sheet"):
        with pytest.raises(UsageError, match=f"cannot save as {name}") as error:
            sheet.save([answer], tmp_path / name)
        assert error.value.hint == "End its name in .png or .html."
    assert not list(tmp_path.glob("sheet*"))


def test_a_folder_that_is_not_there_is_told_of_before_anything_is_drawn(
    tmp_path: Path, answer: Answer
) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        sheet.save([answer], tmp_path / "none" / "sheet.png")


def test_no_answers_and_no_hits_still_make_a_sheet(tmp_path: Path, answer: Answer) -> None:
    sheet.save([], tmp_path / "none.png")
    sheet.save([replace(answer, camera=None, identity=None, hits=())], tmp_path / "probe.png")
    with Image.open(tmp_path / "none.png") as none, Image.open(tmp_path / "probe.png") as probe:
        assert none.height < probe.height


@pytest.mark.parametrize("width", [360, 390, 1360])
def test_names_of_files_are_broken_between_their_parts_alone(
    browser: Browser, answer: Answer, tmp_path: Path, width: int
) -> None:
    names = ("0001_c2s1_000331_03.jpg", "2024-05-01/gate_000123_0004.jpg", "-1_c1s3_002067_03.jpg")
    hits = [replace(one, path=name) for one, name in zip(answer.hits, names, strict=False)]
    made = Made("reidsearch query --data-dir /srv/gallery /srv/crops/0001_c1s1_000228_04.jpg")
    text = sheet.html([replace(answer, hits=tuple(hits))], made)
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.set_content(text)
    broken = """() => {
      const parts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), broken = [];
      while (parts.nextNode()) {
        if (!parts.currentNode.parentElement.closest("figcaption, code")) continue;
        for (const { 0: word, index } of parts.currentNode.data.matchAll(/[\\w.]+/g)) {
          const range = document.createRange();
          range.setStart(parts.currentNode, index);
          range.setEnd(parts.currentNode, index + word.length);
          if (range.getClientRects().length > 1) broken.push(word);
        }
      }
      return broken;
    }"""
    assert page.evaluate(broken) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.close()
