"""The HTTP door: thin routes over one open gallery. Needs the extra ``serve``.

Policy is in the library: a route parses, calls one method of the gallery, and answers one of
``documents``. What guards the door is in ``guards`` and ``tokens``; docs/threat-model.md says
against whom.
"""

from importlib.util import find_spec

_NEEDED = ("fastapi", "uvicorn", "multipart", "prometheus_client")


def installed() -> bool:
    """Whether the packages of the extra are there."""
    return all(map(find_spec, _NEEDED))
