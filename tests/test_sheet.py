from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from reidsearch.errors import UsageError
from reidsearch.types import Answer, Hit
from reidsearch.views import sheet
from tests.conftest import COLORS, write_crop


def hit(rank: int, path: Path, *, identity: int | None, camera: int | None = 2) -> Hit:
    return Hit(rank, 1 - rank / 10, rank, identity, camera, 1, 1, "gallery", str(path))


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
    return Answer(str(crops[0]), 1, 7, hits)


def count(pixels: np.ndarray, color: str) -> int:
    return int((pixels == ImageColor.getrgb(color)).all(2).sum())


def test_the_verdict_is_known_only_where_both_identities_are(answer: Answer) -> None:
    verdicts = [sheet.verdict(answer, h) for h in answer.hits]
    assert verdicts == [True, False, None, False, None]
    nobody = Answer(answer.query, 1, None, answer.hits)
    assert {sheet.verdict(nobody, h) for h in nobody.hits} == {None}


def test_a_png_frames_each_hit_in_its_verdicts_color(tmp_path: Path, answer: Answer) -> None:
    sheet.save([answer, answer], tmp_path / "sheet.png")
    pixels = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB"))
    # A frame's area without its rounded corners: its outside less the thumbnail.
    height, width = sheet.THUMBNAIL
    frame = (height + 2 * sheet.FRAME) * (width + 2 * sheet.FRAME) - height * width
    assert count(pixels, sheet.RIGHT) == pytest.approx(2 * frame, rel=0.02)
    assert count(pixels, sheet.WRONG) == pytest.approx(2 * 2 * frame, rel=0.02)
    assert count(pixels, sheet.UNSURE) == pytest.approx(2 * 2 * frame, rel=0.02)


def test_an_html_sheet_holds_its_pictures_and_escapes_names(tmp_path: Path, answer: Answer) -> None:
    sheet.save([answer], tmp_path / "sheet.html")
    page = (tmp_path / "sheet.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 6
    assert "gone &lt;b&gt;.jpg" in page
    assert "<b>.jpg" not in page
    assert page.index("probe") < page.index("0.900") < page.index("0.800")
    assert "http" not in page


def test_another_ending_is_refused(tmp_path: Path, answer: Answer) -> None:
    for name in ("sheet.gif", "sheet"):
        with pytest.raises(UsageError):
            sheet.save([answer], tmp_path / name)
    assert not list(tmp_path.glob("sheet*"))


def test_no_answers_and_no_hits_still_make_a_sheet(tmp_path: Path, answer: Answer) -> None:
    sheet.save([], tmp_path / "none.png")
    sheet.save([Answer(answer.query, None, None, ())], tmp_path / "probe.png")
    with Image.open(tmp_path / "none.png") as none, Image.open(tmp_path / "probe.png") as probe:
        assert none.size < probe.size
