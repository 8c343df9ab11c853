"""Whatever a picture file holds: 8-bit RGB or an ImageError, soon and in little memory."""

import os
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reidsearch.errors import ImageError
from reidsearch.pictures import contents, decoding
from tests import nasty
from tests.conftest import COLORS, write_crop

SECONDS = 10  # of a processor that no file may take; the slowest takes a tenth of one


def outcome(data: bytes) -> str:
    """ "" where ``data`` is decoded, else why not; anything else but RGB or a reason fails."""
    started = time.thread_time()
    reason = ""
    try:
        pixels = decoding.decode(data, size=(16, 8))
        whole = decoding.decode(data)
    except ImageError as error:
        reason = error.message or "no reason"
    else:
        assert pixels.shape == (16, 8, 3)
        assert whole.shape[2:] == (3,)
        assert pixels.dtype == whole.dtype == np.uint8
    assert "\n" not in reason
    assert reason != "no reason"
    assert time.thread_time() - started < SECONDS
    return reason


@pytest.mark.parametrize("name", sorted(nasty.good()))
def test_an_odd_picture_is_decoded_all_the_same(name: str) -> None:
    assert outcome(nasty.good()[name]) == ""


@pytest.mark.parametrize("name", sorted(nasty.bad()))
def test_a_bomb_or_no_picture_is_an_error(name: str) -> None:
    assert outcome(nasty.bad()[name]) != ""


@pytest.mark.parametrize("kind", nasty.KINDS)
def test_a_picture_cut_before_any_of_its_bytes_is_decoded_or_an_error(
    kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    reasons = [outcome(data) for data in nasty.truncated(kind)]
    assert len(reasons) > 150
    assert sum(map(bool, reasons)) > 0.7 * len(reasons)  # the rest lacks but its trailer
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", nasty.KINDS)
def test_a_picture_with_any_header_byte_changed_is_decoded_or_an_error(
    kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    reasons = [outcome(data) for data in nasty.flipped(kind)]
    assert len(reasons) > 600
    assert 0 < sum(map(bool, reasons)) < len(reasons)
    assert capfd.readouterr().err == ""


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A small picture with bytes replaced, doubled, cut out, or its halves swapped."""
    data = bytearray(nasty.encoded(nasty.small(), draw(st.sampled_from(nasty.KINDS))))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data) - 1))
        to = min(len(data), at + draw(st.integers(1, 40)))
        part = bytes(data[at:to])
        data[at:to] = draw(
            st.sampled_from([b"", part * 3, part[::-1], draw(st.binary(max_size=9))])
        )
        if not data:
            break
    return bytes(data)


@settings(max_examples=1500)
@given(st.one_of(st.binary(max_size=300), damaged()))
def test_random_bytes_and_random_damage_are_decoded_or_an_error(data: bytes) -> None:
    outcome(data)


def test_warnings_silenced_in_many_threads_are_not_silenced_for_good() -> None:
    data = nasty.tiff([(t, 7, 2**31, 8) for t in range(300, 500)])  # Pillow warns of each
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        reasons = list(pool.map(outcome, [data] * 64))
    assert len(set(reasons)) == 1
    assert list(warnings.filters) == before


# ---- where a picture lies ---------------------------------------------------------------------


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_crop(tmp_path / "secret.jpg", color=COLORS[1])
    write_crop(tmp_path / "data-set-two/secret.jpg", color=COLORS[1])
    write_crop(tmp_path / "data-set/inside/good.jpg", color=COLORS[2])
    return tmp_path / "data-set"


def test_links_that_stay_inside_the_root_are_followed(root: Path) -> None:
    data = (root / "inside/good.jpg").read_bytes()
    (root / "file.jpg").symlink_to("inside/good.jpg")
    (root / "absolute.jpg").symlink_to(root / "inside/good.jpg")
    (root / "folder").symlink_to("inside", target_is_directory=True)
    (root.parent / "alias").symlink_to(root)
    for path in ("inside/good.jpg", "file.jpg", "absolute.jpg", "folder/good.jpg"):
        assert contents.read_inside(root, path) == data
        assert contents.read_inside(root.parent / "alias", path) == data


@pytest.mark.parametrize(
    ("link", "target", "path"),
    [
        ("file.jpg", "../secret.jpg", "file.jpg"),
        ("inside/file.jpg", "../../secret.jpg", "inside/file.jpg"),
        ("folder", "..", "folder/secret.jpg"),
        ("folder", "../data-set-two", "folder/secret.jpg"),
        ("device.jpg", "/dev/zero", "device.jpg"),
        ("gone.jpg", "../missing.jpg", "gone.jpg"),
        ("unused", ".", "../secret.jpg"),
        ("unused", ".", "inside/../../secret.jpg"),
        ("unused", ".", "/etc/hostname"),
    ],
)
def test_what_leads_out_of_the_root_is_refused(
    root: Path, link: str, target: str, path: str
) -> None:
    (root / link).symlink_to(target)
    with pytest.raises(ImageError, match="leads out of the data set"):
        contents.read_inside(root, path)


@pytest.mark.parametrize("path", ["a\0b.jpg", "\ud800.jpg", "x" * 300 + ".jpg", "a/" * 3000])
def test_a_path_that_no_file_can_have_is_an_error(root: Path, path: str) -> None:
    with pytest.raises(ImageError, match=r"cannot be read"):
        contents.read_inside(root, path)


def test_links_that_go_round_in_circles_are_an_error(root: Path) -> None:
    (root / "a.jpg").symlink_to("b.jpg")
    (root / "b.jpg").symlink_to("a.jpg")
    with pytest.raises(ImageError, match="cannot be read"):
        contents.read_inside(root, "a.jpg")


def test_pipes_sockets_and_devices_are_refused_without_waiting(root: Path) -> None:
    os.mkfifo(root / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(root)  # a socket's path must be short
        server.bind("socket.jpg")
        os.chdir(here)
        for name in ("pipe.jpg", "socket.jpg", "inside"):
            with pytest.raises(ImageError, match="not a regular file"):
                contents.read_inside(root, name)
    with pytest.raises(ImageError, match="not a regular file"):
        contents.read_bytes(Path("/dev/zero"))


def test_a_link_that_keeps_changing_never_yields_a_file_outside(root: Path) -> None:
    secret = (root.parent / "secret.jpg").read_bytes()
    (root / "link.jpg").symlink_to("inside/good.jpg")
    targets: Iterator[str] = iter(["../secret.jpg", "inside/good.jpg"] * 3000)
    running = threading.Event()

    def swap() -> None:
        for target in targets:
            (root / "new").symlink_to(target)
            (root / "new").replace(root / "link.jpg")
            running.set()
        running.clear()

    seen, refused = 0, 0
    thread = threading.Thread(target=swap)
    thread.start()
    running.wait()
    while running.is_set():
        try:
            assert contents.read_inside(root, "link.jpg") != secret
            seen += 1
        except ImageError:
            refused += 1
    thread.join()
    assert seen
    assert refused
