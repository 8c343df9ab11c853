"""The HTTP door: thin routes over one open gallery. Needs the extra ``serve``.

Policy is in the library: a route parses, calls one method of the gallery, and answers one of
``documents``. What guards the door is in ``guards`` and ``tokens``; docs/threat-model.md says
against whom.
"""
