"""What all commands share: the global options, files that begin with a dash, how errors end."""

import functools
import inspect
import os
import traceback
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from reidsearch import config
from reidsearch.cli import help, interrupts, options, output
from reidsearch.cli.examples import EXAMPLES
from reidsearch.errors import ReidsearchError

INTERRUPTED = 130  # an exit code beside those of errors.py


class Commands(TyperGroup):
    """The commands; every error of theirs ends in one clear line."""

    def main(self, *args: Any, **values: Any) -> Any:
        output.accept_any_text()  # before anything is said: help and usage errors come from here
        return super().main(*args, **values)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta[options.TYPED] = list(args)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        commands = [
            (name, (command.help or "").split("\n\n")[0].replace("\n", " "))
            for name in self.list_commands(ctx)
            if (command := self.get_command(ctx, name)) is not None
        ]
        usage = f"{ctx.command_path} [OPTIONS] COMMAND [ARGS]..."
        groups = [help.listed("Commands", commands), help.listed(*options.ELSEWHERE)]
        first = [(help.EXAMPLE, ["reidsearch demo", "reidsearch query --help"])]
        formatter.write(help.page(usage, self.help or "", self.get_params(ctx), groups + first))

    def invoke(self, ctx: Any) -> Any:
        output.relay_log()
        try:
            with interrupts.obeyed():
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
            if ctx.meta.get("debug"):
                traceback.print_exc()
            raise typer.Exit(failure.exit_code) from None


class Command(TyperCommand):
    """A command that takes files whose names begin with a dash, as Market-1501's junk has them."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        examples = EXAMPLES[self.name or ""]
        told = [(f"{help.EXAMPLE}{'s' * (len(examples) > 1)}", list(examples))]
        formatter.write(
            help.page(
                self._usage(ctx), inspect.cleandoc(self.help or ""), self.get_params(ctx), told
            )
        )

    def get_usage(self, ctx: Any) -> str:
        return f"Usage: {self._usage(ctx)}"

    def _usage(self, ctx: Any) -> str:
        arguments = [
            str(one.metavar) if one.required else f"[{one.metavar}]"
            for one in self.get_params(ctx)
            if one.param_type_name == "argument"
        ]
        return " ".join([ctx.command_path, "[OPTIONS]", *arguments])

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        takes_value = {
            word: not getattr(parameter, "is_flag", False)
            for parameter in self.get_params(ctx)
            for word in parameter.opts
            if word.startswith("-")
        }
        words = list(args)
        at = 0
        while at < len(words) and words[at] != "--":
            word = words[at]
            if word.startswith("-") and word not in takes_value and os.path.isfile(word):
                words[at] = f".{os.sep}{word}"
            at += 2 if takes_value.get(word) else 1
        return super().parse_args(ctx, words)


def with_global_options(function: Callable[..., None]) -> Callable[..., None]:
    """The function of a command, or of the group of all, with the global options among its own.

    Of those before the command and those after it, the later ones win. A command finds its
    settings in ``ctx.obj``, and in ``ctx.meta`` whether it shall be quiet.
    """
    own = inspect.signature(function, eval_str=True)

    @functools.wraps(function)
    def run(ctx: typer.Context, **values: Any) -> None:
        for parameter in options.GLOBAL:
            value = values.pop(parameter.name)
            if value not in (None, False) or parameter.name not in ctx.meta:
                ctx.meta[parameter.name] = value
        if ctx.invoked_subcommand is None:
            ctx.obj = config.load({key: ctx.meta.get(key) for key in config.KEYS})
            both = ctx.meta.get("data_dir") and ctx.obj.server is not None
            options.say_idle((bool(both), "--data-dir", "beside --server"))
        function(ctx, **values)

    parameters = [*own.parameters.values(), *options.GLOBAL]
    run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


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
