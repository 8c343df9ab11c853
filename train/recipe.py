"""A recipe: every choice of a training run, read from a TOML file."""

import tomllib
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from reidsearch.errors import UsageError

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Sizes are in pixels; rates and chances are fractions."""

    name: str
    height: int
    width: int
    network_width: float  # OSNet's channel multiplier
    side: int  # features of each head at an earlier stage; 0 for the main head alone
    side_weight: float  # of the losses at all heads but the main one, whose losses weigh 1
    epochs: int
    p: int  # identities per batch
    k: int  # images per identity
    learning_rate: float  # at the peak of the one-cycle schedule
    warmup: float  # share of all steps until that peak
    momentum: float
    weight_decay: float
    label_smoothing: float
    triplet_margin: float
    triplet_weight: float
    pad: int
    erase: float
    average: float  # decay per step of the moving average of the weights; 0 for none
    seed: int
    # What recipes, and files that quote them, may leave out: without it, it is off.
    stripes: int = 0  # heads that see an equal horizontal band each of the last stage's maps
    stripe: int = 0  # features of each of those
    instance_norm: bool = False  # in the early layers, after OSNet-AIN
    jitter: float = 0.0  # how far brightness, contrast, saturation and colours stray from 1
    grey: float = 0.0  # chance that a picture loses its colours
    blur: float = 0.0  # chance that a picture is blurred
    mix_styles: float = 0.0  # chance that a batch's early maps trade styles

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def load(name: str, **changes: Any) -> Recipe:
    """The recipe of that name in train/recipes, or in the TOML file at that path.

    ``changes`` replace single values. Raises UsageError on an unknown recipe or an unknown,
    missing or ill-typed value.
    """
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in RECIPES.glob("*.toml")))
        raise UsageError(f"no recipe {name!r}", hint=f"There are {known}, or give a .toml file.")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from None
    return from_dict({"name": path.stem, **values, **changes})


def from_dict(values: dict[str, Any]) -> Recipe:
    """The recipe with these values; raises UsageError as ``load`` does."""
    wanted = {f.name: f.type for f in fields(Recipe)}
    required = {f.name for f in fields(Recipe) if f.default is MISSING}
    unknown, missing = set(values) - set(wanted), required - set(values)
    if unknown or missing:
        problem = "unknown " + min(unknown) if unknown else "no " + min(missing)
        raise UsageError(f"recipe {values.get('name')}: {problem}")
    for key, value in values.items():
        kinds = (int, float) if wanted[key] is float else (wanted[key],)
        if type(value) not in kinds:
            raise UsageError(f"recipe {values['name']}: {key} = {value!r} is of the wrong type")
    return Recipe(**values)
