"""One ingest over a folder of everything nasty at once; and nothing anywhere loads a pickle."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reidsearch.config import Config
from reidsearch.encoding.encoder import Encoder
from tests import nasty
from tests.conftest import COLORS, filling, write_crop
from tests.test_layers import PACKAGE, imports

GOOD = 40
MEMORY = 1e9  # bytes at most; converted whole instead of band by band, the large ones take 2e9
# Run as a process of its own, whose children's greatest memory is the ingest's.
MEASURED = """
import json, resource, subprocess, sys
ended = subprocess.run(sys.argv[1:], capture_output=True, text=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
peak *= 1 if sys.platform == "darwin" else 1024
print(json.dumps([ended.returncode, ended.stdout, ended.stderr, peak]))
"""
INGEST = "from reidsearch.cli import app; app()"


@pytest.fixture
def nasty_folder(tmp_path: Path) -> tuple[Path, set[str], set[str]]:
    """A folder, and which files in it must be stored and which rejected."""
    folder = tmp_path / "crops"
    good = {f"{i:04d}_c{i % 3}s1_{i:06d}_00.jpg" for i in range(GOOD)}
    for seed, name in enumerate(sorted(good)):
        write_crop(folder / name, color=COLORS[1 + seed % 4], seed=seed)
    for name, data in {**nasty.good(), **nasty.bad(), **nasty.large()}.items():
        (folder / name).write_bytes(data)
    good |= nasty.good().keys() | nasty.large().keys()
    bad = set(nasty.bad())
    crop = (folder / min(good)).read_bytes()
    for name in (
        "99999999999999999999_c1s1_000001_00.jpg",
        "a\nb.jpg",
        "\u202egpj.jpg",
        "%s%n.jpg",
    ):
        (folder / name).write_bytes(crop)
        good.add(name)
    (folder / os.fsdecode(b"\xff.jpg")).write_bytes(crop)
    bad.add("\\xff.jpg")
    write_crop(tmp_path / "secret.jpg", color=COLORS[2])
    (folder / "outside.jpg").symlink_to("../secret.jpg")
    (folder / "device.jpg").symlink_to("/dev/zero")
    (folder / "circle.jpg").symlink_to("circle.jpg")
    (folder / "inside.jpg").symlink_to(min(good))
    os.mkfifo(folder / "pipe.jpg")
    bad |= {"outside.jpg", "device.jpg", "circle.jpg", "pipe.jpg"}
    return folder, good | {"inside.jpg"}, bad


def test_an_ingest_of_nasty_files_stores_the_good_and_names_each_bad_one_in_bounded_memory(
    nasty_folder: tuple[Path, set[str], set[str]], settings: Config, encoder: Encoder
) -> None:
    folder, good, bad = nasty_folder
    assert len(good) >= GOOD + 30
    assert len(bad) >= 35
    options = ["--quiet", "--data-dir", str(settings.data_dir), "--encoder", str(settings.encoder)]
    ingest = [sys.executable, "-c", INGEST, *options, "ingest", str(folder), "--json"]
    measured = subprocess.run(
        [sys.executable, "-c", MEASURED, *ingest],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    exit_code, stdout, stderr, peak = json.loads(measured.stdout)
    assert exit_code == 3, stderr
    assert stderr == ""
    failures = {f["path"]: f["reason"] for f in json.loads(stdout)["failures"]}
    assert failures.keys() == bad
    assert all(failures.values())
    assert "leads out of the data set" in failures["outside.jpg"]
    assert "leads out of the data set" in failures["device.jpg"]
    assert "not a regular file" in failures["pipe.jpg"]
    with filling(settings) as opened:
        stored, _ = opened.load()
    assert set(stored.path.tolist()) == good
    assert peak < MEMORY


# ---- pickles ----------------------------------------------------------------------------------

SOURCES = sorted([*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "train").rglob("*.py")])
UNPICKLING = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def loads(source: str) -> list[str]:
    """Calls in ``source`` that could load a pickle: np.load and torch.load without the word that
    forbids it, and pandas' read_pickle."""
    forbidding = {"np": ("allow_pickle", False), "numpy": ("allow_pickle", False)}
    forbidding["torch"] = ("weights_only", True)
    found = []
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        of = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
        if node.func.attr == "read_pickle":
            found.append(ast.unparse(node))
        if node.func.attr == "load" and of in forbidding:
            word, value = forbidding[of]
            given = {
                k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)
            }
            if given.get(word) is not value:
                found.append(ast.unparse(node))
    return found


def test_no_pickle_is_loaded_anywhere() -> None:
    assert len(SOURCES) > 40
    for path in SOURCES:
        modules = {name.split(".")[0] for name in imports(path)}
        assert not modules & UNPICKLING, path
        assert not loads(path.read_text(encoding="utf-8")), path
        assert not imports(path) & {"numpy.load", "torch.load"}, path  # from torch import load


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("np.load(f)", 1),
        ("np.load(f, allow_pickle=True)", 1),
        ("np.load(f, allow_pickle=False)", 0),
        ("torch.load(f)", 1),
        ("torch.load(f, weights_only=False)", 1),
        ("torch.load(f, weights_only=True)", 0),
        ("pd.read_pickle(f)", 1),
        ("json.load(f)", 0),
    ],
)
def test_a_load_that_may_unpickle_is_found(source: str, count: int) -> None:
    assert len(loads(source)) == count
