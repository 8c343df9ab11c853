"""When, and by which command, something that people look at was made."""

import time
from dataclasses import dataclass, field
from typing import TypeAlias

from reidsearch import times

LONGEST = 400  # characters of a command; a shell may have put a thousand files into it
Facts: TypeAlias = list[tuple[str, str]]  # names and values, for the head of a page or picture


@dataclass(frozen=True, slots=True)
class Made:
    """``command`` as it was typed, None where there was none; ``when`` in seconds since 1970."""

    command: str | None = None
    when: float = field(default_factory=time.time)

    def facts(self, zone: times.Zone) -> Facts:
        """The last lines of a head, with times in ``zone``."""
        found = [("made", times.show(self.when, zone))]
        if self.command is None:
            return found
        half = LONGEST // 2
        short = f"{self.command[:half]} … {self.command[-half:]}"
        return [*found, ("command", self.command if len(self.command) <= LONGEST else short)]
