"""When, and by which command, something that people look at was made."""

import time
from dataclasses import dataclass, field
from typing import TypeAlias

from reidsearch import times

Facts: TypeAlias = list[tuple[str, str]]  # names and values, for the head of a page or picture


@dataclass(frozen=True, slots=True)
class Made:
    """``command`` as it was typed, None where there was none; ``when`` in seconds since 1970."""

    command: str | None = None
    when: float = field(default_factory=time.time)

    def facts(self, zone: times.Zone) -> Facts:
        """The last lines of a head, with times in ``zone``."""
        found = [("made", times.show(self.when, zone))]
        return found if self.command is None else [*found, ("command", self.command)]
