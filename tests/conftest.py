"""Shared fixtures: a tiny real encoder, drawn crops, and galleries made from them."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import hypothesis
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from playwright.sync_api import Browser
from sqlalchemy import make_url
from typer.testing import CliRunner, Result

from reidsearch.catalog import Catalog, schema
from reidsearch.cli import app
from reidsearch.config import Config, load
from reidsearch.encoding.encoder import Encoder
from reidsearch.encoding.preprocessing import Preprocessing
from reidsearch.gallery import Gallery
from reidsearch.ranking.transit import Learning
from reidsearch.session import CATALOG, Session
from reidsearch.vectors.collection import Collection
from tests import browser
from tests.postgres import Cluster, cluster, database, programs
from tests.qdrant_cluster import ClusterStandIn
from tests.qdrant_server import QdrantStandIn

HEIGHT, WIDTH = 16, 8
# Transit times that tell the market set's few frames apart.
SHORT_BINS = Learning(frames=2.0, smoothing=1.0, prior_pairs=1.0)
COLORS = {1: (200, 30, 40), 2: (30, 180, 60), 3: (40, 60, 210), 4: (220, 200, 40)}

# Workers beside each other have a processor each, and so do the processes that they start.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Without PyTorch the command line can be worked on all the same; the header says what is left out.
NO_TRAINING = find_spec("torch") is None
NO_BROWSER = browser.EXECUTABLE is None
collect_ignore = [
    *(["test_adapt.py", "test_groups.py", "test_train.py", "test_walk.py"] if NO_TRAINING else []),
    *(["test_page.py", "test_page_choices.py"] if NO_BROWSER else []),
]


def pytest_report_header() -> list[str]:
    said = []
    if NO_TRAINING:
        said.append("tests of training are left out: PyTorch is not installed ([train])")
    if NO_BROWSER:
        said.append("tests of the page are left out: Chromium is not installed")
    return said


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", metavar="DIR", help="Keep pictures of the page there.")


# The same examples every time, however slow the machine; each writes files of its own.
hypothesis.settings.register_profile(
    "reidsearch",
    derandomize=True,
    deadline=None,
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.function_scoped_fixture,
    ],
)
hypothesis.settings.load_profile("reidsearch")

# A shell's background jobs ignore Ctrl-C, and so would every process that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests see neither the developer's environment nor a reidsearch.toml of theirs."""
    for key in [key for key in os.environ if key.startswith("REIDSEARCH_")]:
        monkeypatch.delenv(key)
    home = tmp_path / "cwd"
    home.mkdir()
    monkeypatch.chdir(home)


def write_encoder(
    path: Path,
    *,
    metadata: dict[str, str] | None = None,
    cell: int = 4,
    batch: int | str = "n",
    rounds: int = 0,
) -> Path:
    """A real ONNX encoder: the mean colour of each ``cell`` x ``cell`` square, as one vector, which
    is multiplied with the identity for so many ``rounds``: that only takes time."""
    dimension = 3 * (HEIGHT // cell) * (WIDTH // cell)
    names = [*(f"round {n}" for n in range(rounds)), "vectors"]
    graph = helper.make_graph(
        [
            helper.make_node(
                "AveragePool", ["images"], ["pooled"], kernel_shape=[cell, cell], strides=[cell] * 2
            ),
            helper.make_node("Flatten", ["pooled"], names[:1]),
            *(helper.make_node("MatMul", [a, "identity"], [b]) for a, b in pairwise(names)),
        ],
        "colours",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, HEIGHT, WIDTH])],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, [batch, dimension])],
        [numpy_helper.from_array(np.eye(dimension, dtype=np.float32), "identity")][:rounds],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if metadata is None:
        preprocessing = Preprocessing(
            height=HEIGHT, width=WIDTH, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)
        )
        metadata = {"name": path.stem, **preprocessing.to_metadata()}
    helper.set_model_props(model, metadata)
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="session")
def encoder_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("encoder") / "colours.onnx")


@pytest.fixture(scope="session")
def encoder(encoder_file: Path) -> Encoder:
    return Encoder(encoder_file)


def write_crop(path: Path, *, color: tuple[int, int, int], seed: int = 0) -> Path:
    """A noisy picture of one colour; the noise makes every file's vector its own."""
    noise = np.random.default_rng(seed).integers(-12, 13, (HEIGHT, WIDTH, 3))
    pixels = np.clip(np.array(color) + noise, 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, "PNG" if path.suffix == ".png" else "JPEG", quality=95)
    return path


@pytest.fixture
def market(tmp_path: Path) -> Path:
    """A Market-1501 root: 4 people, 3 cameras, one probe each; a distractor, a junk image, and
    the real data set's oddities."""
    root = tmp_path / "market"
    seed = 0
    for identity, color in COLORS.items():
        write_crop(root / f"query/{identity:04d}_c1s1_000001_00.jpg", color=color, seed=seed)
        for camera in (1, 2, 3):
            for frame in (10, 20):
                name = f"{identity:04d}_c{camera}s1_{frame:06d}_01.jpg"
                seed += 1
                write_crop(root / "bounding_box_test" / name, color=color, seed=seed)
        name = f"{identity:04d}_c2s2_000030_02.jpg"
        write_crop(root / "bounding_box_train" / name, color=color, seed=seed + 100)
    test = root / "bounding_box_test"
    write_crop(test / "0000_c2s1_000040_01.jpg", color=(120, 120, 120), seed=71)
    write_crop(test / "-1_c3s1_000050_01.jpg", color=(210, 40, 50), seed=72)
    write_crop(test / "0001_c3s1_000060_01.jpg.jpg", color=COLORS[1], seed=73)
    (test / "Thumbs.db").write_bytes(b"not a picture")
    return root


@pytest.fixture
def settings(tmp_path: Path, encoder_file: Path) -> Config:
    return load({"data_dir": str(tmp_path / "home"), "encoder": str(encoder_file)})


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL server, of this process's own."""
    if programs() is None:
        pytest.skip("PostgreSQL is not installed")
    with cluster() as server:
        yield server


@pytest.fixture(scope="session")
def migrated(postgres: Cluster) -> Iterator[str]:
    """The name of a database there with an empty catalog, which others are copied from."""
    with database(postgres.url) as url:
        schema.open_shared(url, purpose="test").close()
        yield str(make_url(url).database)


@pytest.fixture
def catalog_url(postgres: Cluster, migrated: str) -> Iterator[str]:
    """The URL of a database there with an empty catalog, of this test's own. Every one has another
    key, as if each had been made by itself."""
    with database(postgres.url, template=migrated) as url:
        with closing(schema.open_shared(url, purpose="test")) as catalog:
            catalog.become_another()
        yield url


@contextmanager
def filling(settings: Config) -> Iterator[Collection]:
    """The collection for the configured encoder's vectors, open and locked."""
    with closing(Session(settings, purpose="test")) as session, session.changing():
        yield session.collection_to_fill()


@contextmanager
def reading(settings: Config) -> Iterator[Collection]:
    """The same for reading, where it is filled."""
    with closing(Session(settings, purpose="test")) as session:
        yield session.collection()


@contextmanager
def every(settings: Config) -> Iterator[tuple[Catalog, list[Collection]]]:
    """The catalog and the collections of all encoders."""
    with closing(Session(settings, purpose="test")) as session, session.changing():
        yield session.catalog, session.collections()


@contextmanager
def catalog_of(settings: Config) -> Iterator[Catalog]:
    """The catalog alone, without a lock."""
    with closing(schema.open_catalog(settings.data_dir / CATALOG)) as catalog:
        yield catalog


@pytest.fixture
def gallery(market: Path, settings: Config) -> Iterator[Gallery]:
    """A gallery with the market set in it, open."""
    with Gallery(settings, purpose="test") as opened:
        opened.ingest(market)
        yield opened


@pytest.fixture
def filled(gallery: Gallery) -> Collection:
    """Its collection."""
    return gallery._session.collection()


@pytest.fixture(scope="session", name="browser")
def opened_browser() -> Iterator[Browser]:
    """The system's Chromium, which tests of the page share."""
    with browser.browsing() as opened:
        yield opened


Run = Callable[..., Result]


@pytest.fixture
def run(settings: Config) -> Run:
    """Run a command in this process, with the test's data dir and encoder."""

    def invoke(*words: object, exit_code: int = 0) -> Result:
        home, encoder = str(settings.data_dir), str(settings.encoder)
        result = CliRunner().invoke(
            app, ["--data-dir", home, "--encoder", encoder, *map(str, words)]
        )
        assert result.exit_code == exit_code, (result.exit_code, result.output)
        assert "Traceback" not in result.output
        return result

    return invoke


@pytest.fixture
def qdrant() -> Iterator[QdrantStandIn]:
    """A stand-in for a Qdrant server, running."""
    with QdrantStandIn() as server:
        yield server


@pytest.fixture
def nodes() -> Iterator[ClusterStandIn]:
    """A stand-in for a cluster of three Qdrant nodes, running."""
    with ClusterStandIn() as cluster:
        yield cluster
