"""An Edge shard is optimised in a process of its own.

Edge never lets go of the interpreter: where the process that answers optimised a million vectors,
nobody would be answered for half a minute.
"""

import contextlib
import os
import select
import subprocess
import sys
from pathlib import Path

import reidsearch
from reidsearch import faults
from reidsearch.errors import StoreError
from reidsearch.stores import folder


def optimise(path: Path) -> None:
    """Optimise the shard in ``path``, which nobody has open, and wait for it; the process that does
    it dies with this one. Raises StoreError."""
    root = str(Path(reidsearch.__file__).parent.parent)
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    with subprocess.Popen(
        [sys.executable, "-P", "-m", __name__, str(path)],
        env={**os.environ, "PYTHONPATH": paths},
        stdin=subprocess.PIPE,  # and nothing is written to it: its end is that of this process
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.read().decode(errors="replace").strip()
            failed = process.wait()
        except BaseException:
            process.kill()
            raise
    if failed:
        why = said.splitlines()[-1] if said else f"its process ended with {failed}"
        raise StoreError(f"the vector store could not be optimised: {why}")


def _die_with_whoever_started_this() -> None:
    """Let the system end this process when the other end of stdin is closed: Python code would not
    run before Edge has done its work."""
    with contextlib.suppress(ImportError):  # Windows
        import fcntl

        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
        if select.select([0], [], [], 0)[0]:
            sys.exit(1)  # it had ended before


def main() -> None:
    _die_with_whoever_started_this()
    faults.reach("optimiser started")
    shard = folder.load_quantised(Path(sys.argv[1]))
    shard.optimize()
    shard.flush()
    shard.close()


if __name__ == "__main__":
    main()
