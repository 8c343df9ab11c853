"""What all commands share: where options may stand, and how errors end."""

import os
import traceback
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from reidsearch.cli import output
from reidsearch.errors import ReidsearchError

INTERRUPTED = 130  # an exit code beside those of errors.py
GLOBAL_FLAGS = ("--quiet", "--debug")
GLOBAL_OPTIONS = ("--data-dir", "--qdrant-url", "--encoder", "--device")


class Commands(TyperGroup):
    """Global options may stand after the command too, a file may begin with a dash, and every
    error ends in one clear line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        first, rest, left = [], [], list(args)
        while left:
            word = left.pop(0)
            if word == "--":
                rest += [word, *left]
                break
            if word in GLOBAL_OPTIONS:
                first += [word, *left[:1]]
                del left[:1]
            elif word in GLOBAL_FLAGS or word.split("=")[0] in GLOBAL_OPTIONS:
                first.append(word)
            elif word.startswith("-") and Path(word).is_file():  # Market-1501's junk: -1_c1s1...
                rest.append(f".{os.sep}{word}")
            else:
                rest.append(word)
        return super().parse_args(ctx, first + rest)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            output.say("Interrupted. What was stored stays; run the same command again to go on.")
            raise typer.Exit(INTERRUPTED) from None
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if hasattr(error, "show"):  # a usage error, which Typer shows itself
                raise
            failure = _explained(error)
            output.complain(failure)
            if ctx.params.get("debug"):
                traceback.print_exc()
            raise typer.Exit(failure.exit_code) from None


def _explained(error: Exception) -> ReidsearchError:
    if isinstance(error, ReidsearchError):
        return error
    if isinstance(error, OSError):
        what = f"{error.filename}: " if error.filename else ""
        return ReidsearchError(f"{what}{error.strerror or error}")
    return ReidsearchError(
        f"unexpected {type(error).__name__}: {error}",
        hint="This is a defect in reidsearch; --debug shows where. Nothing stored is lost.",
    )
