"""A name is data: never markup, a path or a format, however it came in and wherever it goes."""

import csv
import io
import json
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reidsearch import Gallery, datasets
from reidsearch.config import Config
from reidsearch.errors import DatasetError, UsageError
from reidsearch.types import Dataset
from tests.conftest import COLORS, Run, write_crop
from tests.test_layouts import touch

ODD = [
    "Zoë", "爱丽丝", "علي", "נועה", "अनीता", "Ἀθηνᾶ", "\U0001f469\u200d\U0001f692", "a b",
    "é" * 127,
    "[red]x[/red]", "<b>&amp;", "{camera}", "{{ 7 * 7 }}", "%s%n%d", "..", "~", "-rf", "$(id)",
    "`id`", "'; DROP TABLE image; --", 'say "hi"', "NaN2", "1e5", "0x10", "a,b", "=1+1", "@x", "#",
    "\\n", "नी\u200cता",
]  # fmt: skip
REFUSED = ["\u202eeve", "tab\there", "new\nline", "\x1b[31mred", "a\x85b", "é" * 128]
FOLDERS = [name for name in ODD if len(name.encode()) < 240 and name != ".." and "/" not in name]


def table(folder: Path, names: list[str]) -> Path:
    """A crop for each name, which is its camera's and its person's."""
    with (folder / "odd.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "camera", "identity"])
        for number, name in enumerate(names):
            write_crop(folder / f"{number}.png", color=COLORS[1 + number % 4], seed=number)
            writer.writerow([f"{number}.png", name, name])
    return folder / "odd.csv"


def test_names_go_through_every_command_as_they_are(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "crops").mkdir()
    names = {unicodedata.normalize("NFC", name) for name in ODD}
    failures = json.loads(
        run("ingest", table(tmp_path / "crops", ODD + REFUSED), "--json", exit_code=3).stdout
    )["failures"]
    assert len(failures) == len(REFUSED)
    probe = tmp_path / "crops/0.png"
    search = ("query", probe, "--top-k", 99)
    hits = json.loads(run(*search, "--json").stdout)["hits"]
    assert {hit["camera"] for hit in hits} == {hit["identity"] for hit in hits} == names
    rows = list(csv.DictReader(io.StringIO(run(*search, "--csv").stdout)))
    assert {row["camera"] for row in rows} == names
    monkeypatch.setenv("COLUMNS", "400")
    shown = run(*search).stdout
    for name in names:
        assert name in shown
        assert name in run("query", probe, f"--camera={name}", "--exclude-camera").stdout
        if "," not in name:
            only = run("query", probe, f"--only-camera={name}", "--json").stdout
            assert [hit["camera"] for hit in json.loads(only)["hits"]] == [name]
    run(*search, "--save", tmp_path / "sheet.html")
    page = (tmp_path / "sheet.html").read_text(encoding="utf-8")
    assert "<b>&amp;" not in page.replace("&lt;b&gt;", "")
    assert "49" not in {line.strip() for line in page.splitlines()}
    run(*search, "--save", tmp_path / "sheet.png")
    run("trace", probe, "--min-score", "-1", "--save", tmp_path / "trace.png")
    assert len(json.loads(run("status", "--json").stdout)["cameras"]) == len(names)
    assert len(json.loads(run("audit", "--json").stdout)) > len(names)
    for name in names:
        gone = json.loads(run("forget", f"--identity={name}", "--dry-run", "--json").stdout)
        assert gone["images"] == 1, name


def seen(found: Dataset) -> set[str | None]:
    return {one.camera for one in found.sightings}


def test_folders_and_patterns_take_the_same_names(tmp_path: Path) -> None:
    touch(tmp_path / "by folder", *(f"{name}/x.jpg" for name in FOLDERS))
    touch(tmp_path / "by pattern", *(f"cam {name} 7.jpg" for name in FOLDERS))
    names = {unicodedata.normalize("NFC", name) for name in FOLDERS}
    assert seen(datasets.read(tmp_path / "by folder", layout="cameras")) == names
    found = datasets.read(tmp_path / "by pattern", pattern="cam {camera} {frame}.jpg")
    assert seen(found) == names


FILES = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60
).filter(lambda name: len(name.encode()) < 200)
PATTERNS = st.sampled_from(
    ["{camera}_{identity}.jpg", "{camera}/*", "{timestamp}T*.jpg", "*_{frame}.jpg", "{identity}"]
)


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(folder=FILES, file=FILES, pattern=PATTERNS, time=st.dates().map(str))
def test_whatever_files_are_called_they_are_read_or_rejected_with_a_reason(
    tmp_path_factory: pytest.TempPathFactory, folder: str, file: str, pattern: str, time: str
) -> None:
    root = tmp_path_factory.mktemp("odd")
    paths = [f"d{folder}/{file}.jpg", f"c_{file}.jpg", f"{time}T{file}.jpg"]
    for path in paths:
        touch(root, path)
    there = {
        os.path.relpath(os.path.join(above, name), root)
        for above, _, names in os.walk(root)
        for name in names
    }
    for chosen, layout in ((pattern, None), (None, "people"), (None, "cameras"), (None, None)):
        try:
            found = datasets.read(root, pattern=chosen, layout=layout)
        except DatasetError:  # nothing fits
            continue
        told = {s.path for s in found.sightings} | {r.path for r in found.rejected}
        assert told == there
        assert all(rejected.reason for rejected in found.rejected)


def test_a_site_and_a_data_set_may_be_called_anything_too(tmp_path: Path, settings: Config) -> None:
    crop = write_crop(tmp_path / "crops/a.png", color=COLORS[1])
    with Gallery(settings, purpose="test") as gallery:
        for number, name in enumerate(ODD):
            other = write_crop(tmp_path / f"{number}/a.png", color=COLORS[2], seed=number)
            gallery.ingest(other.parent, name=name, site=name)
        for name in ODD:
            written = unicodedata.normalize("NFC", name)
            at_site, of_dataset = gallery.query(crop, site=name), gallery.query(crop, dataset=name)
            assert [hit.site for hit in at_site.hits] == [written]
            assert [hit.dataset for hit in of_dataset.hits] == [name]
        for name in REFUSED:
            with pytest.raises(UsageError):
                gallery.ingest(crop.parent, site=name)
