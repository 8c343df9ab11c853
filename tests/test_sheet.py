import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from jinja2 import UndefinedError
from PIL import Image, ImageColor

from reidsearch.answer import Answer, Asked, Hit
from reidsearch.errors import UsageError
from reidsearch.views import pages, sheet
from reidsearch.views.palette import LIGHT
from tests.conftest import COLORS, write_crop


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
    verdicts = [sheet.verdict(answer, h) for h in answer.hits]
    assert verdicts == [True, False, None, False, None]
    nobody = replace(answer, identity=None)
    assert {sheet.verdict(nobody, h) for h in nobody.hits} == {None}


def test_a_name_means_somebody_at_one_site(answer: Answer, tmp_path: Path) -> None:
    here, there = (hit(1, tmp_path / "x.jpg", identity=7, site=site) for site in ("main", "else"))
    assert [sheet.verdict(answer, h) for h in (here, there)] == [True, False]
    assert sheet.verdict(replace(answer, site=None), here) is None
    alice = replace(answer, identity="alice")
    hits = [hit(1, tmp_path / "x.jpg", identity=who) for who in ("alice", "bob", 7)]
    assert [sheet.verdict(alice, h) for h in hits] == [True, False, False]


def test_a_png_frames_each_hit_in_its_verdicts_color(tmp_path: Path, answer: Answer) -> None:
    sheet.save([answer, answer], tmp_path / "sheet.png")
    pixels = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB"))
    # A frame's area without its rounded corners: its outside less the thumbnail.
    height, width = sheet.THUMBNAIL
    frame = (height + 2 * sheet.FRAME) * (width + 2 * sheet.FRAME) - height * width
    assert count(pixels, LIGHT.right) == pytest.approx(2 * frame, rel=0.02)
    assert count(pixels, LIGHT.wrong) == pytest.approx(2 * 2 * frame, rel=0.02)
    assert count(pixels, LIGHT.unsure) == pytest.approx(2 * 2 * frame, rel=0.02)


def test_an_html_sheet_holds_its_pictures_and_escapes_names(tmp_path: Path, answer: Answer) -> None:
    sheet.save([answer], tmp_path / "sheet.html")
    page = (tmp_path / "sheet.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 6
    assert "gone &lt;b&gt;.jpg" in page
    assert "<b>.jpg" not in page
    assert page == sheet.html([answer])
    assert page.index("probe") < page.index("0.900") < page.index("0.800")
    assert "http" not in page


HOSTILE = "</style></title>\"'><script>alert(1)</script>\udcff&{{ 7 * 7 }}{% raw %}.jpg"


class Tags(HTMLParser):
    """The elements of a page, their attributes, and its text outside of its style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.values: list[tuple[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.values += attrs


def test_hostile_names_are_text_in_every_template(answer: Answer) -> None:
    hostile = replace(
        answer, query=HOSTILE, hits=tuple(replace(hit, path=HOSTILE) for hit in answer.hits)
    )
    harmless, found = Tags(sheet.html([answer])), Tags(page := sheet.html([hostile]))
    assert found.names == harmless.names
    shown = HOSTILE.replace("\udcff", "?")
    assert found.values.count(("title", shown)) == 6
    assert [name for name, _ in found.values] == [name for name, _ in harmless.values]
    assert page.encode("utf-8")


def test_a_template_that_lacks_a_value_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="answers"):
        pages.render("sheet.html")


def test_every_rule_of_a_page_keeps_to_its_own_elements(answer: Answer) -> None:
    style = sheet.html([answer]).split("<style>")[1].split("</style>")[0]
    rules = re.findall(r"([^{}]+)\{[^{}]*\}", style)
    selectors = [part.strip() for rule in rules for part in rule.split(",")]
    assert len(selectors) > 20
    assert all(selector.startswith(".reidsearch") for selector in selectors), selectors


def test_pictures_say_what_they_are_to_who_cannot_see_them(answer: Answer) -> None:
    said = [value for name, value in Tags(sheet.html([answer])).values if name == "alt"]
    assert said[0] == "probe, id 7  cam 1"
    assert said[1] == "1   0.900, id 7  cam 2, the probe's identity"
    assert [words.split(", ")[-1] for words in said[2:] if words] == [
        "another", "not known", "another", "not known"
    ]  # fmt: skip


def test_a_probe_that_is_no_file_shows_by_its_bytes(tmp_path: Path, answer: Answer) -> None:
    data = Path(answer.query).read_bytes()
    unnamed = replace(answer, query="from memory", picture=data)
    assert sheet.draw([unnamed]).tobytes() == sheet.draw([answer]).tobytes()
    broken = replace(unnamed, picture=b"no picture")
    assert sheet.draw([broken]).tobytes() != sheet.draw([answer]).tobytes()


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
        "probe, id 7  cam 1", "probe, id 1  cam 3", "probe, id 2  cam 3", "not, id 8  cam 3",
        "not, id 9  cam 3",
    ]  # fmt: skip
    kinds = [value for name, value in tags.values if name == "class" and "card" in str(value)]
    assert kinds[:5] == ["card probe"] * 3 + ["card not"] * 2
    plain, drawn = (np.asarray(sheet.draw([one])) for one in (answer, whole))
    height, width = sheet.THUMBNAIL
    frame = (height + 2 * sheet.FRAME) * (width + 2 * sheet.FRAME) - height * width
    more = count(drawn, LIGHT.wrong) - count(plain, LIGHT.wrong)
    assert more == pytest.approx(2 * frame, rel=0.02)
    # Five pictures stand in two rows of three.
    cell = width + 2 * sheet.FRAME + sheet.GAP
    row = height + 2 * sheet.FRAME + sheet.CAPTION + sheet.GAP
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


def test_no_answers_and_no_hits_still_make_a_sheet(tmp_path: Path, answer: Answer) -> None:
    sheet.save([], tmp_path / "none.png")
    sheet.save([replace(answer, camera=None, identity=None, hits=())], tmp_path / "probe.png")
    with Image.open(tmp_path / "none.png") as none, Image.open(tmp_path / "probe.png") as probe:
        assert none.size < probe.size
