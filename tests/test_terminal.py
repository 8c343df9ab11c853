"""The command line as people see it: on a terminal of 80 columns."""

import base64
import io
import itertools
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len
from typer.main import get_command
from typer.testing import CliRunner

from reidsearch.cli import app, terminal
from reidsearch.cli.examples import EXAMPLES
from reidsearch.cli.progress import RECENT, Pace
from reidsearch.config import Config
from tests.conftest import Run
from tests.terminals import plain, shown

COMMANDS = list(get_command(app).commands)  # type: ignore[attr-defined]


def help_of(*words: str, columns: int = 80) -> str:
    return CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": str(columns)}).output


@pytest.mark.parametrize("command", ["", *COMMANDS])
@pytest.mark.parametrize("columns", [60, 80, 200])
def test_help_fits_breaks_no_word_and_shows_no_types(command: str, columns: int) -> None:
    words = [command] if command else []
    text = help_of(*words, columns=columns)
    whole = [line for line in text.splitlines() if not line.startswith("  reidsearch ")]
    assert max(map(cell_len, whole)) <= min(columns, 100)
    for noise in ("<bool>", "<path>", "BOOLEAN", "<=x<=", "[required]", "{", "│", "INTEGER"):
        assert noise not in re.sub(r"'{camera.*?'", "", text)
    assert text.split() == help_of(*words, columns=100).split()  # however it is broken
    for line in text.splitlines():
        if line.startswith("  -"):
            assert re.match(r"  -(-[a-z-]+|[a-z], --[a-z-]+)( [A-Z,]+)?($|  )", line), line


@pytest.mark.parametrize("command", COMMANDS)
def test_every_commands_help_groups_options_and_ends_with_an_example_that_holds(
    command: str,
) -> None:
    text = help_of(command)
    lines = text.rstrip().splitlines()
    count = len(EXAMPLES[command])
    assert lines[-count - 1] in ("Example", "Examples")
    assert [line.strip() for line in lines[-count:]] == list(EXAMPLES[command])
    assert text.index("Global options") < text.index("-h, --help") < text.index("Example")
    for example in EXAMPLES[command]:
        program, name, *words = shlex.split(example)
        assert (program, name) == ("reidsearch", command)
        for option in (word for word in words if word.startswith("-")):
            assert re.search(rf"(^|, | ){option}\b", text, re.MULTILINE), option


def test_a_querys_options_are_in_groups() -> None:
    text = help_of("query")
    groups = re.findall(r"^(\S.*)\n  -", text, re.MULTILINE)
    assert groups == ["The question", "Which images", "Ranking", "Output", "Global options"]


@pytest.fixture
def ingested(run: Run, market: Path) -> Path:
    run("ingest", market)
    return market / "query/0002_c1s1_000001_00.jpg"


def test_hits_take_a_line_each_with_marks_and_a_legend(settings: Config, ingested: Path) -> None:
    lines = plain(shown(settings, "query", ingested, "--exclude-camera", NO_COLOR="1"))
    assert max(map(cell_len, lines)) <= 80
    hits = [line for line in lines if re.match(r" +\d+ +-?\d\.\d{3} ", line)]
    assert len(hits) == 10
    for line in hits:
        assert re.search(r"/-?\d{1,4}_c\ds1_\d{6}_\d\d\.jpg(\.jpg)?$", line.rstrip()), line
        right = re.search(r" 000?2_c|/0002_c", line) is not None
        assert ("✓" in line) == right
    assert "✓ green: the probe's identity; ✗ red: another" in lines


def test_what_cannot_be_written_as_a_mark_has_a_plainer_one(run: Run, ingested: Path) -> None:
    told = run("query", ingested, "--top-k", "3").stdout
    assert "✓" in told
    assert "green" not in run("query", ingested, "--top-k", "3").stderr  # a pipe has no colours


def test_sentences_wrap_at_words(settings: Config, ingested: Path) -> None:
    lines = plain(shown(settings, "trace", ingested, "--min-score", "0.9999", columns=50))
    assert max(map(cell_len, lines)) <= 50
    joined = " ".join(" ".join(lines).split())
    assert re.search(r"Nobody: the nearest has [01]\.\d{3}, 0\.\d{3} below the threshold\.", joined)
    assert "another picture of the person, or --camera and --time after" in joined


def test_the_frames_told_are_those_of_the_files(settings: Config, run: Run, tmp_path: Path) -> None:
    from tests.conftest import COLORS, write_crop

    for name in ("0001_c1s1_305238_01.jpg", "0001_c1s2_088392_01.jpg", "0001_c2s2_088400_01.jpg"):
        write_crop(tmp_path / "crops" / name, color=COLORS[1])
    run("ingest", tmp_path / "crops")
    told = run("trace", tmp_path / "crops/0001_c1s1_305238_01.jpg", "--min-score", 0.5).stdout
    frames = set(re.findall(r"\d{5,}", re.sub(r"\S*\.jpg", "", told)))
    assert frames == {"305238", "88392", "88400"}


def test_times_stay_whole_on_a_terminal_and_have_their_offset_elsewhere(
    settings: Config, run: Run, tmp_path: Path
) -> None:
    from tests.conftest import COLORS, write_crop

    rows = ["path,camera,identity,timestamp"]
    for n, camera in enumerate(("Lobby South", "Eingang Nord-West", "Garage")):
        write_crop(tmp_path / f"crops/0001_{n}.jpg", color=COLORS[1], seed=n)
        rows.append(f"0001_{n}.jpg,{camera},Person 1,2024-05-01T1{n}:00:00+02:00")
    (tmp_path / "crops/crops.csv").write_text("\n".join(rows))
    run("ingest", tmp_path / "crops/crops.csv")
    probe = tmp_path / "crops/0001_0.jpg"
    for words in (("trace", probe, "--min-score", "0.5"), ("query", probe)):
        lines = plain(shown(settings, *words, REIDSEARCH_TIMEZONE="Europe/Berlin"))
        told = " ".join(lines).split()
        assert max(map(cell_len, lines)) <= 80
        assert [told.count(f"1{n}:00:00") for n in range(3)] == [1, 1, 1]
        assert told.count("2024-05-01") == 3
        assert "Times are those of Europe/Berlin." in lines
        piped = run(*words).stdout
        assert len(re.findall(r"1\d:00:00[+-]\d\d:\d\d|\d\d:00:00\+00:00", piped)) == 3


def test_a_folder_that_is_not_there_is_told_of_before_any_work(
    settings: Config, run: Run, ingested: Path, tmp_path: Path
) -> None:
    for command, name in (("query", "x.png"), ("trace", "x.html")):
        told = run(command, ingested, "--save", tmp_path / "none" / name, exit_code=2)
        assert f"there is no folder {tmp_path / 'none'}" in " ".join(told.stderr.split())
        assert not told.stdout
    told = run("explore", "--stored", "--save", tmp_path / "none/x.html", exit_code=2)
    assert "there is no folder" in told.stderr


def test_repeated_only_camera_adds_up(run: Run, ingested: Path) -> None:
    def cameras(*words: str) -> set[str]:
        told = run("query", ingested, "--top-k", 50, "--csv", *words).stdout
        header, *rows = (line.split(",") for line in told.splitlines())
        return {row[header.index("camera")] for row in rows}

    assert cameras("--only-camera", "2", "--only-camera", "3") == {"2", "3"}
    assert cameras("--only-camera", "2,3") == {"2", "3"}
    assert cameras("--only-camera", "2", "--only-camera", "2") == {"2"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["query", "IMG", "--together"], "--together has no effect with a single picture."),
        (["query", "IMG", "--pictures", "--json"], "--pictures has no effect beside --json"),
        (["query", "IMG", "--pictures"], "--pictures has no effect here: stdout is no terminal"),
        (
            ["trace", "IMG", "--min-score", "0.5", "--false-matches", "0.1"],
            "--false-matches has no effect beside --min-score.",
        ),
        (["ingest", "DATA", "--yes"], "--yes has no effect without --prune."),
        (["query", "IMG", "--time", "2024-05-01"], "--time has no effect where hits are ranked"),
        (
            ["trace", "IMG", "--min-score", "0.5", "--time", "2024-05-01"],
            "--time has no effect on scores by cosine alone.",
        ),
        (["explore", "--stored", "--follow-links"], "--follow-links has no effect with --stored."),
        (["forget", "--identity", "1", "--dry-run", "--yes"], "--yes has no effect with --dry-run"),
    ],
)
def test_options_without_effect_say_so(
    run: Run, market: Path, ingested: Path, words: list[str], told: str
) -> None:
    given = {"IMG": ingested, "DATA": market}
    assert told in run(*(given.get(word, word) for word in words)).stderr


def test_a_matrix_is_shown_whole_or_not_at_all(settings: Config, ingested: Path) -> None:
    words = ("evaluate", "--camera-pairs")
    assert any(re.search(r"camera 1 +[\d.]+% +[\d.]+%", line) for line in plain(
        shown(settings, *words, columns=80)
    ))  # fmt: skip
    narrow = " ".join(" ".join(plain(shown(settings, *words, columns=22))).split())
    assert "too wide for this terminal, which takes" in narrow


def test_usage_errors_name_arguments_as_the_help_does(run: Run) -> None:
    assert "query [OPTIONS] IMG..." in run("query", "--bogus", exit_code=2).stderr


# ---- progress ---------------------------------------------------------------------------------


def test_the_rate_is_that_of_the_last_seconds_and_of_what_was_encoded_now() -> None:
    pace = Pace()
    assert pace.at(0, 100.0) is None  # 20,000 stored earlier are no rate
    assert pace.at(0, 103.0) is None
    assert pace.at(32, 104.0) == pytest.approx(8.0)
    for second in range(1, 60):
        rate = pace.at(32 + 100 * second, 104.0 + second)
    assert rate == pytest.approx(100.0)
    stalled = [pace.at(32 + 100 * 59, 163.0 + wait) for wait in (1.0, RECENT + 2, 2 * RECENT)]
    assert stalled[0] is not None
    assert stalled[-1] is None  # nothing was encoded in the last seconds


def test_an_ingest_tells_of_each_batch(settings: Config, market: Path) -> None:
    from reidsearch.gallery import Gallery

    seen = []
    with Gallery(settings, purpose="test") as gallery:
        gallery.ingest(market, on_progress=lambda now: seen.append((now.seen, now.encoded)))
        assert seen[0] == (0, 0)
        assert seen[-1] == (31, 31)
        steps = [b[0] - a[0] for a, b in itertools.pairwise(seen)]
        assert max(steps) <= gallery._session.encoder.batch
        again: list[tuple[int, int]] = []
        gallery.ingest(market, on_progress=lambda now: again.append((now.seen, now.encoded)))
        assert again[-1] == (31, 0)


def test_on_a_terminal_a_bar_shows_and_goes(settings: Config, market: Path) -> None:
    seen = shown(settings, "ingest", market)
    assert "Looking at the files" in seen
    lines = plain(seen)
    assert any("ingested" in line for line in lines)
    assert re.search(r"31 of 31 images", seen)


# ---- pictures in terminals --------------------------------------------------------------------


@pytest.fixture
def image() -> Image.Image:
    rng = np.random.default_rng(0)
    squares = rng.integers(0, 256, (5, 7, 3)).astype(np.uint8)
    return Image.fromarray(squares.repeat(5, axis=0).repeat(3, axis=1))


@pytest.mark.parametrize(
    ("variables", "way"),
    [
        ({"KITTY_WINDOW_ID": "1", "TERM": "xterm-kitty"}, terminal.kitty),
        ({"TERM": "xterm-ghostty", "TERM_PROGRAM": "ghostty"}, terminal.kitty),
        ({"TERM_PROGRAM": "iTerm.app", "TERM": "xterm-256color"}, terminal.iterm),
        ({"LC_TERMINAL": "iTerm2"}, terminal.iterm),
        ({"TERM_PROGRAM": "WezTerm"}, terminal.iterm),
        ({"TERM": "xterm-256color"}, None),
        ({"KITTY_WINDOW_ID": "1", "TERM": "tmux-256color", "TMUX": "/tmp/x"}, None),
        ({}, None),
    ],
)
def test_the_environment_tells_which_protocol(variables: dict[str, str], way: object) -> None:
    assert terminal.by_environment(variables) is way


def test_kitty_gets_the_picture_in_chunks(image: Image.Image) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3)).astype(np.uint8)
    text = terminal.kitty(Image.fromarray(noise))
    chunks = re.findall(r"\033_G([^;]*);([^\033]*)\033\\", text)
    assert len(chunks) > 2
    assert all(len(data) <= terminal.CHUNK for _, data in chunks)
    assert [keys.split("m=")[1] for keys, _ in chunks] == ["1"] * (len(chunks) - 1) + ["0"]
    data = base64.b64decode("".join(data for _, data in chunks))
    assert (np.asarray(Image.open(io.BytesIO(data))) == noise).all()


def test_iterm_gets_the_picture_whole(image: Image.Image) -> None:
    found = re.fullmatch(r"\033\]1337;File=([^:]*):([^\a]*)\a", terminal.iterm(image))
    assert found is not None
    assert f"width={image.width}px" in found[1]
    data = base64.b64decode(found[2])
    assert f"size={len(data)}" in found[1]
    assert (np.asarray(Image.open(io.BytesIO(data))) == np.asarray(image)).all()


def drawn_by_sixels(text: str) -> np.ndarray:
    """What a terminal draws of sixels, H x W x 3."""
    found = re.fullmatch(r'\033Pq"1;1;(\d+);(\d+)(.*)\033\\', text, re.DOTALL)
    assert found is not None
    width, height = int(found[1]), int(found[2])
    pixels = np.full((height + 6, width, 3), -1)
    colors: dict[int, tuple[float, ...]] = {}
    x = y = number = 0
    tokens = re.finditer(r"#(\d+)((?:;\d+)*)|!(\d+)(.)|([$-])|([?-~])", found[3])
    for color, values, run, repeated, move, single in (one.groups() for one in tokens):
        if color:
            number = int(color)
            if values:
                _, *parts = map(int, values.strip(";").split(";"))
                colors[number] = tuple(part * 2.55 for part in parts)
        elif move:
            x, y = 0, y + 6 * (move == "-")
        else:
            bits, times = ord(repeated or single) - 63, int(run or 1)
            for row in (row for row in range(6) if bits >> row & 1):
                pixels[y + row, x : x + times] = colors[number]
            x += times
    return pixels[:height]


def test_sixels_draw_every_pixel_in_its_colour(image: Image.Image) -> None:
    drawn = drawn_by_sixels(terminal.sixel(image))
    assert drawn.min() >= 0
    assert np.abs(drawn - np.asarray(image).astype(int)).max() <= 8


def test_a_terminal_that_says_so_gets_sixels_and_another_nothing(
    settings: Config, ingested: Path
) -> None:
    words = ("query", ingested, "--top-k", "3", "-p")
    able = shown(settings, *words, answers="\033[?62;4;22c")
    assert drawn_by_sixels(re.search(r"\033P.*?\033\\", able, re.DOTALL)[0]).size  # type: ignore[index]
    unable = shown(settings, *words, answers="\033[?62;22c")
    assert "\033P" not in unable
    assert "--pictures has no effect here" in " ".join(plain(unable))
    kitty = shown(settings, *words, KITTY_WINDOW_ID="1", TERM="xterm-kitty")
    assert "\033_Ga=T,f=100" in kitty
    assert "\033[c" not in kitty
    silent = shown(settings, *words)
    assert "\033P" not in silent
