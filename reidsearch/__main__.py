"""``python -m reidsearch`` is the command line."""

from reidsearch.cli import app

if __name__ == "__main__":
    app()
