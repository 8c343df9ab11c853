"""The settings' page, from what the settings say of themselves."""

from pathlib import Path

from docs.made.text import code, page, plain, table
from reidsearch.config import DEFAULT_ENCODER, FILE, SETTINGS, Config, variable
from reidsearch.environment import VARIABLES

DEFAULTS = {"data_dir": "a folder of the user's", "encoder": "the shipped one"}


def settings() -> str:
    """The page."""
    rows = [
        (
            code(key),
            plain(one.help),
            code(f"--{key.replace('_', '-')}") if one.flag else "",
            code(variable(key)),
            _default(key),
        )
        for key, one in SETTINGS.items()
    ]
    variables = [(code(name), plain(said)) for name, said in VARIABLES.items()]
    return page(
        "Settings",
        "Every setting: its key, option, environment variable and default.",
        f"A flag beats the environment, which beats `{FILE}` in the current folder, which beats "
        "the default. `reidsearch status` shows the value of each and where it came from.",
        table(("key", "what it is for", "option", "environment", "default"), rows),
        f'`{FILE}` is TOML: `key = "text"`, numbers also without quotes. An unknown key is an '
        "error. From Python the settings are the arguments of "
        "[`reidsearch.open`](python.md#reidsearch.opening.open).",
        "## From the environment alone",
        table(("variable", "what it is for"), variables),
        f"A server's key is never a setting: so it is never shown. The shipped encoder is "
        f"`{DEFAULT_ENCODER.name}` in the package.",
    )


def _default(key: str) -> str:
    if key in DEFAULTS:
        return DEFAULTS[key]
    value = getattr(Config(data_dir=Path()), key)
    return "" if value is None else code(str(value))
