# `just` lists what there is; each is short enough to be typed without it.

_default:
    @just --list

# Install everything that work on it takes, into the active environment.
setup:
    pip install -e ".[dev,train]"

# Run tests: all, or those that are named.
test *which:
    pytest {{which}}

# What is quick to check.
lint:
    ruff check .
    ruff format --check .
    mypy
    hadolint Dockerfile
    check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

# Mend what a tool can mend.
fix:
    ruff check --fix .
    ruff format .

# All that must hold before a change lands, in a fresh environment.
check:
    .ci/run

# Build the documentation strictly, into site/.
docs:
    mkdocs build --strict

# Show the documentation while it is written.
pages:
    mkdocs serve

# Draw the architecture anew.
draw:
    python -m docs.made.drawing

# Make a notebook and its outputs of its text.
notebook name:
    python -m notebooks.run {{name}}

# Build what is published.
build:
    pip install build
    python -m build
