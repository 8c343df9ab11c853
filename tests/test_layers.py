"""Arrows point down only, and the command line starts light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "reidsearch"

# The packages from the lowest up, "" for modules at the top. Each may import those before it, and a
# module those of its own package in the lines before its own; "__init__" is the package itself.
LAYERS: tuple[tuple[str, ...], ...] = (
    (
        "",
        "errors faults files words",
        "environment names outcomes",
        "types",
        "hashes lock times",
        "settings",
        "config",
    ),
    ("pictures", "__init__ contents depths", "decoding"),
    (
        "encoding",
        "__init__ onnxfile preprocessing thresholds",
        "accuracy network",
        "encoder",
        "selftest",
    ),
    (
        "documents",
        "__init__ audits backups calibrations cameras checkups encoders evaluations failures "
        "hits moving questions statuses",
        "answers explorations forgetting ingests traces",
        "demos",
    ),
    (
        "ranking",
        "__init__ arrays clock feedback knn",
        "camera_means cells looks metrics rerank rough scores suspects",
        "pairs",
        "transit",
        "calibration",
        "ranking",
        "expansion",
    ),
    (
        "datasets",
        "columns filename matlab walk",
        "base table",
        "benchmark cuhk03 folder manifest pattern plugins",
        "market1501 mars msmt17 veri",
        "dukemtmc",
        "__init__",
    ),
    (
        "views",
        "__init__ captions endings fonts made palette timeline verdicts",
        "icon pages plots thumbnails tracks",
        "calibration cards painter",
        "exploration fragments lanes report sheet strip",
    ),
    (
        "stores",
        "addresses base guard silence wire",
        "__init__ edge_filters folder layout lender refusals server_filters",
        "allowance connection lent optimiser snapshots",
        "edge holding server",
    ),
    (
        "catalog",
        "among records refusals tables upserts",
        "settings",
        "database",
        "expansions hold images learned log residence runs sqlite",
        "places postgres",
        "embeddings",
        "__init__",
        "copying schema",
        "following",
    ),
    ("vectors", "__init__ collection", "export indexing moves transfer"),
    ("session", "access copies turns", "current", "place", "opened", "__init__"),
    ("learning", "__init__ basis calibrate carried neighbours", "increment", "expand"),
    ("pushing", "__init__ aside crops", "crop", "waiting", "add"),
    (
        "search",
        "__init__ answer probe",
        "audit places stays stored",
        "find first_trace question",
        "inquiry second_look",
        "rankings",
        "query yardstick",
        "trace",
    ),
    ("evaluation", "__init__ trial", "details vectors", "protocol", "compare"),
    ("forgetting", "__init__ left selection", "removal", "encoders people"),
    ("ingest", "contents losses reading upkeep", "summary", "parts", "pipeline", "__init__"),
    ("inspection", "__init__ encoders exploration findings status", "doctor explore"),
    ("transport", "__init__ archive parts places", "backup catalog vectors", "move", "restoring"),
    ("", "gallery"),
    ("client", "__init__ connection read shape", "gallery"),
    ("", "opening"),
    ("demo", "figures steps", "pedestrians", "__init__"),
    (
        "service",
        "__init__ assets limits memory metrics schemas tokens vocabulary",
        "problems",
        "guards intake replies workers",
        "parts",
        "asking health overview",
        "page pictures",
        "app",
        "server",
    ),
    (
        "cli",
        "examples help interrupts terminal vocabulary",
        "output",
        "options pictures progress tables",
        "hits scores",
        "group",
        "audit backup calibrate claim demo doctor encoders evaluate explore export forget ingest "
        "move query restore serve status token trace",
        "__init__",
    ),
    ("", "__main__"),
)
LEVEL = {  # of a module: its package's, and its line in there
    ".".join(filter(None, (package, module))).removesuffix(".__init__"): (at, line)
    for at, (package, *lines) in enumerate(LAYERS)
    for line, names in enumerate(lines)
    for module in names.split()
}


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
