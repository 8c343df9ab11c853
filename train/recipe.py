"""A recipe: every choice of a training run, or of an adaptation, read from a TOML file."""

import tomllib
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from reidsearch.errors import UsageError

RECIPES = Path(__file__).parent / "recipes"
_Kind = TypeVar("_Kind", "Recipe", "Adaptation")


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
    layer: int = 0  # features that a linear layer makes of the heads'; an adaptation fits it

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation:
    """How a network is adapted to crops that nobody labelled; see ``rounds``."""

    name: str
    rounds: int  # of grouping the crops and fitting a layer to the groups
    dimension: int  # of the adapted encoder's vectors
    k1: int  # nearest neighbours that k-reciprocal ones are among, of a crop at its camera
    k2: int  # of these, how many descriptions are averaged
    within: float  # the Jaccard distance up to which two crops of a camera are of one track
    near: int  # neighbours at another camera that say how near a track is to all of them
    shrunk: float  # share of an even spread in all directions in the spread within groups
    cameras: float  # what differences between cameras' means weigh in that spread
    surest: float  # share of the links that the network is trained on
    agreement: float  # the least share of links that other people's groups have to confirm
    known: float  # the share from which on the network knows these cameras already
    training: str  # the recipe that trains the network on the groups
    epochs: int  # of it; 0 for the layer alone
    seed: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def load(name: str, **changes: Any) -> Recipe | Adaptation:
    """The recipe of that name in train/recipes, or in the TOML file at that path: an adaptation
    where it says of how many rounds.

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
    values = {"name": path.stem, **values, **changes}
    return _checked(values, Adaptation) if "rounds" in values else from_dict(values)


def from_dict(values: dict[str, Any]) -> Recipe:
    """The recipe with these values; raises UsageError as ``load`` does."""
    return _checked(values, Recipe)


def _checked(values: dict[str, Any], kind: type[_Kind]) -> _Kind:
    wanted = {f.name: f.type for f in fields(kind)}
    required = {f.name for f in fields(kind) if f.default is MISSING}
    unknown, missing = set(values) - set(wanted), required - set(values)
    if unknown or missing:
        problem = "unknown " + min(unknown) if unknown else "no " + min(missing)
        raise UsageError(f"recipe {values.get('name')}: {problem}")
    for key, value in values.items():
        kinds = (int, float) if wanted[key] is float else (wanted[key],)
        if type(value) not in kinds:
            raise UsageError(f"recipe {values['name']}: {key} = {value!r} is of the wrong type")
    return kind(**values)
