"""Arrows point down only, and the command line starts light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "reidsearch"

COMMANDS = (
    "explore", "ingest", "query", "evaluate", "calibrate", "trace", "export", "status", "encoders",
    "doctor", "forget", "audit", "move", "backup", "restore", "claim", "demo", "serve", "token",
)  # fmt: skip

# Each module may import from the lines above its own.
LAYERS = [
    {"errors", "faults", "files"},
    {"aside", "names", "outcomes", "words"},
    {"types"},
    {"times"},
    {"archive", "environment", "hashes", "images", "lock", "onnxfile"},
    {"settings"},
    {"config"},
    {"thresholds"},
    {"accuracy"},
    {"ranking"},
    {"ranking.arrays", "ranking.clock", "ranking.feedback", "ranking.knn"},
    {
        "ranking.camera_means",
        "ranking.cells",
        "ranking.looks",
        "ranking.metrics",
        "ranking.rerank",
        "ranking.rough",
        "ranking.scores",
        "ranking.suspects",
    },
    {"ranking.pairs"},
    {"ranking.transit", "documents"},
    {
        "documents.audits",
        "documents.backups",
        "documents.calibrations",
        "documents.cameras",
        "documents.checkups",
        "documents.encoders",
        "documents.evaluations",
        "documents.failures",
        "documents.hits",
        "documents.moving",
        "documents.questions",
        "documents.statuses",
    },
    {
        "documents.answers",
        "documents.explorations",
        "documents.forgetting",
        "documents.ingests",
        "documents.traces",
    },
    {"documents.demos"},
    {"ranking.calibration"},
    {"ranking.ranking"},
    {"ranking.expansion"},
    {"stores.addresses", "stores.base", "stores.silence"},
    {
        "stores",
        "stores.conditions",
        "stores.folder",
        "stores.guard",
        "stores.layout",
        "stores.refusals",
        "stores.wire",
    },
    {"stores.allowance", "stores.connection", "stores.lender", "stores.optimiser"},
    {"stores.edge", "stores.lent", "stores.server"},
    {"stores.holding", "stores.snapshots"},
    {"catalog.records", "catalog.tables"},
    {"catalog.refusals", "catalog.upserts"},
    {"catalog.settings"},
    {"catalog.database"},
    {"catalog.hold", "catalog.residence", "catalog.sqlite"},
    {"catalog.postgres"},
    {"catalog.expansions", "catalog.learned", "catalog.log", "catalog.runs"},
    {"catalog.places"},
    {"catalog.embeddings"},
    {"catalog.images"},
    {"catalog"},
    {"catalog.copying", "catalog.schema", "encoder"},
    {"datasets.filename", "datasets.matlab", "datasets.walk"},
    {"datasets.base", "datasets.columns"},
    {"datasets.table"},
    {"datasets.benchmark", "datasets.folder", "datasets.manifest", "datasets.plugins"},
    {"datasets.cuhk03", "datasets.market1501", "datasets.mars", "datasets.msmt17"},
    {"datasets.dukemtmc", "datasets.pattern", "datasets.veri"},
    {"datasets"},
    {"views"},
    {"views.endings", "views.fonts", "views.made", "views.palette", "views.timeline"},
    {"views.icon", "views.plots", "views.verdicts"},
    {"views.captions", "views.pages", "views.thumbnails"},
    {"views.cards", "views.painter", "views.tracks"},
    {
        "views.calibration",
        "views.exploration",
        "views.fragments",
        "views.lanes",
        "views.report",
        "views.sheet",
        "views.strip",
    },
    {"following"},
    {"answer", "basis", "collection", "contents", "exploration", "losses", "probe", "selftest"},
    {"session.access", "session.copies", "session.turns"},
    {"session.current"},
    {"session.place"},
    {"session.opened"},
    {"places", "session"},
    {"crops"},
    {"crop"},
    {
        "audit",
        "calibrate",
        "carried",
        "indexing",
        "moves",
        "neighbours",
        "reading",
        "question",
        "stays",
        "stored",
        "trial",
        "waiting",
    },
    {"increment"},
    {"details", "expand", "find", "inquiry", "ingest.summary", "left", "transfer"},
    {"ingest.parts"},
    {"ingest.pipeline"},
    {"backup", "encoders", "evaluate", "explore", "export", "forget", "search", "status"},
    {"move"},
    {"add", "compare", "first_trace", "yardstick"},
    {"trace", "upkeep"},
    {"ingest"},
    {"findings"},
    {"doctor"},
    {"restoring"},
    {"gallery"},
    {"client", "client.connection", "client.shape"},
    {"client.read"},
    {"client.gallery"},
    {"opening"},
    {"demo.figures"},
    {"demo.pedestrians", "demo.steps"},
    {"demo"},
    {
        "service.assets",
        "service.limits",
        "service.schemas",
        "service.tokens",
        "service.vocabulary",
    },
    {"service.problems", "service.metrics"},
    {"service.guards", "service.intake", "service.replies", "service.workers"},
    {"service.parts"},
    {"service.asking", "service.health", "service.overview"},
    {"service.page", "service.pictures"},
    {"service.app"},
    {"service.server"},
    {"service"},
    {"cli.examples", "cli.help", "cli.interrupts", "cli.terminal", "cli.vocabulary"},
    {"cli.output"},
    {"cli.options", "cli.pictures", "cli.progress", "cli.tables"},
    {"cli.hits", "cli.scores"},
    {"cli.group"},
    {f"cli.{command}" for command in COMMANDS},
    {"cli"},
    {"__main__"},
]
LEVEL = {module: level for level, layer in enumerate(LAYERS) for module in layer}


def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    del found["__init__"]
    return found


def imports(path: Path, *, for_types: bool = True) -> set[str]:
    """The names of all modules that a file imports, wherever in it the import stands; with or
    without those under TYPE_CHECKING, which are never loaded."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typed = {
        node
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for part in branch.body
        for node in ast.walk(part)
    }
    names = set()
    for node in set(ast.walk(tree)) - (set() if for_types else typed):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_module_imports_only_from_layers_below(module: str) -> None:
    found = imports(modules()[module], for_types=False)
    own = {name.removeprefix("reidsearch.") for name in found}
    for used in (own & LEVEL.keys()) - {module}:
        # Importing a module runs its package's __init__ first; that is no arrow of the module's.
        package_of_own = module.startswith(f"{used}.")
        assert LEVEL[used] < LEVEL[module] or package_of_own, f"{module} imports {used}"


def test_every_module_has_a_layer_and_every_layer_its_modules() -> None:
    assert set(modules()) == set(LEVEL)


def test_the_product_never_imports_training_or_pytorch() -> None:
    for module, path in modules().items():
        used = {name.split(".")[0] for name in imports(path)}
        assert not used & {"torch", "torchvision", "train", "onnx", "tests"}, module


def test_loading_the_command_line_loads_nothing_heavy() -> None:
    code = "import sys, reidsearch.cli; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "reidsearch.cli" in loaded
    heavy = {"torch", "qdrant_client", "qdrant_edge", "onnxruntime", "sqlalchemy", "alembic", "PIL"}
    heavy |= {
        "psycopg",
        "jinja2",
        "matplotlib",
        "fastapi",
        "uvicorn",
        "pydantic",
        "prometheus_client",
    }
    assert not heavy & set(loaded)


def test_the_drawing_is_of_these_layers() -> None:
    from docs.made import drawing  # which draws from what stands above

    assert drawing.FILE.read_text(encoding="utf-8") == drawing.drawing(), (
        "make it anew: python -m docs.made.drawing"
    )
