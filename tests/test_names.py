import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidsearch import names
from reidsearch.errors import UsageError


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2", "2"), ("0002", "2"), ("000", "0"), (" lobby ", "lobby"), ("-1", "-1"), ("-1b", "-1b"),
        ("0x10", "0x10"), ("1.5", "1.5"), ("9" * 30, "9" * 30), ("e\u0301", "\u00e9"),
        ("\u0665", "\u0665"), ("\u05d0\u05d1", "\u05d0\u05d1"),
        ("\U0001f469\u200d\U0001f680", "\U0001f469\u200d\U0001f680"),
    ],
)  # fmt: skip
def test_a_name_is_written_in_one_way(text: str, written: str) -> None:
    assert names.name(text, of="identity") == written


@pytest.mark.parametrize(
    ("text", "of", "reason"),
    [
        ("", "camera", "empty"),
        (" \t ", "camera", "empty"),
        ("a\nb", "camera", "control characters"),
        ("a\x00", "identity", "control characters"),
        ("a\u2028b", "camera", "control characters"),
        ("a\u202etxt", "camera", "control characters"),
        ("-1", "camera", "negative"),
        ("-2", "identity", "negative"),
        ("-0002", "camera", "negative"),
        ("\udcff", "camera", "no valid Unicode"),
        ("\u00e9" * 128, "camera", "more than 255 bytes"),
    ],
)
def test_what_cannot_be_a_name_is_refused(text: str, of: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        names.name(text, of=of)


@given(st.text(max_size=300))
def test_every_text_is_a_name_or_refused_and_names_stay_as_they_are(text: str) -> None:
    try:
        written = names.name(text, of="camera")
    except UsageError:
        return
    assert names.name(written, of="camera") == written
    assert unicodedata.is_normalized("NFC", written)
    assert 0 < len(written.encode()) <= names.LONGEST
    assert str(names.number(written)) == written


def test_names_come_in_the_order_of_numbers_then_texts() -> None:
    given = ["garage", "10", "2", "-1", "0", "Lobby", "2b"]
    assert names.in_order(given) == ["-1", "0", "2", "10", "2b", "Lobby", "garage"]


def test_whole_numbers_leave_as_numbers() -> None:
    assert [names.numbered(n) for n in ("7", "-1", "lobby", None)] == [7, -1, "lobby", None]
