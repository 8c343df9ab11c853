"""The errors' page, with what each door makes of them."""

from docs.made.text import code, page, plain, table
from reidsearch import errors
from reidsearch.cli.group import INTERRUPTED
from reidsearch.cli.options import REJECTED
from reidsearch.errors import ReidsearchError
from reidsearch.service.problems import STATUS


def kinds() -> list[type[ReidsearchError]]:
    """All of them, in the order of the file."""
    return [
        one
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, ReidsearchError)
    ]


def documented() -> str:
    """The page."""
    rows = [
        (
            code(one.__name__),
            str(one.exit_code),
            str(next(STATUS[base] for base in one.__mro__ if base in STATUS)),
            plain((one.__doc__ or "").split("\n\n")[0]),
            "" if one is ReidsearchError else code(one.__mro__[1].__name__),
        )
        for one in kinds()
    ]
    codes = [
        ("0", "done"),
        ("1", "failure"),
        ("2", "usage: the request cannot be carried out as written"),
        (str(REJECTED), "finished, but some pictures were not taken"),
        ("4", "a store is locked or unreachable: waiting may help"),
        (str(INTERRUPTED), "interrupted: what was stored stays"),
    ]
    return page(
        "Errors and exit codes",
        "Every error, its exit code and its HTTP status.",
        "An error says what happened and why in its `message`, and what to try in its `hint`, in "
        "the words of whoever asked: options on the command line, arguments in Python, fields over "
        "HTTP. All are a `reidsearch.ReidsearchError`; anything else that is raised is a defect.",
        "## Exit codes",
        table(("code", "meaning"), codes),
        "## Errors",
        table(("error", "exit code", "HTTP status", "what it says", "is a"), rows),
    )
