"""Code of other projects, loaded from checkouts that environment variables point to.

TORCHREID  https://github.com/KaiyangZhou/deep-person-reid, its Cython built
           (``python setup.py build_ext --inplace`` in torchreid/metrics/rank_cylib)
FASTREID   https://github.com/JDAI-CV/fast-reid
"""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType


def load(variable: str, pattern: str) -> ModuleType | None:
    """The module in the one file under the checkout at ``variable`` that fits ``pattern``, or None
    with a line on stderr where the variable is not set."""
    root = os.environ.get(variable)
    if root is None:
        print(f"{variable} is not set: no comparison", file=sys.stderr)
        return None
    (path,) = Path(root).glob(pattern)
    name = path.name.split(".")[0]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
