"""Names of every script in pictures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from reidsearch.views import fonts


def inked(text: str, font: fonts.Font) -> Image.Image:
    image = Image.new("L", (300, 40))
    ImageDraw.Draw(image).text((4, 4), text, font=font, fill=255)
    return image


def shows(text: str) -> set[bytes]:
    """How each letter looks that is drawn for a text."""
    font, said = fonts.drawn(text, 12)
    return {bytes(inked(letter, font).tobytes()) for letter in said if not letter.isspace()}


@pytest.mark.parametrize("text", ["lobby", "Lobby Süd", "Ἀθηνᾶ", "дверь", "Čapek"])
def test_letters_differ_where_a_font_has_them_and_none_shows_as_missing(text: str) -> None:
    font, _ = fonts.drawn(text, 12)
    assert inked(fonts.MISSING, font).tobytes() not in shows(text)
    assert len(shows(text)) == len({letter for letter in text if not letter.isspace()})


def test_a_space_is_seen_whichever_font_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for files in (fonts._files(), ("no such font.ttf",)):
        monkeypatch.setattr(fonts, "_files", lambda files=files: files)
        font, apart = fonts.drawn("2 hits", 11)
        _, joined = fonts.drawn("2hits", 11)
        assert font.getlength(apart) - font.getlength(joined) >= 3


def test_what_no_font_has_loses_its_accents_or_is_told_by_its_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fonts, "_files", lambda: ("no such font.ttf",))
    assert fonts.drawn("Zoë, Ærø", 12)[1] == "Zoe,  \\xc6r\\xf8"
    assert fonts.drawn("עלי 1", 12)[1] == "\\u05e2\\u05dc\\u05d9  1"
    assert fonts.drawn("\N{WOMAN}", 12)[1] == "\\U0001f469"


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(max_size=20))
def test_any_name_can_be_drawn(text: str) -> None:
    font, said = fonts.drawn(text.replace("\0", ""), 11)
    drawn = inked(" ".join(said.splitlines()), font)
    assert np.asarray(drawn).shape == (40, 300)
