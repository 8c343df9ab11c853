"""The command line on a real pseudo-terminal."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading

from reidsearch.config import Config

LONG = 120  # seconds after which what hangs is given up
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def shown(
    settings: Config, *words: object, columns: int = 80, answers: str = "", **variables: str
) -> str:
    """What stands on a terminal of that width when the command has run, with its escapes. To
    ``\\033[c``, the question what it can do, it ``answers``."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    kept = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "reidsearch", *map(str, words)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={
            **kept,
            "TERM": "xterm",
            "PYTHONPATH": os.pathsep.join(sys.path),
            "REIDSEARCH_DATA_DIR": str(settings.data_dir),
            "REIDSEARCH_ENCODER": str(settings.encoder),
            **variables,
        },
    )
    os.close(theirs)
    alarm = threading.Timer(LONG, process.kill)
    alarm.start()
    seen = b""
    asked = False
    try:
        while True:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # how Linux tells that nobody writes any more
                break
            if not part:
                break
            seen += part
            if answers and not asked and b"\x1b[c" in seen:
                asked = True
                os.write(ours, answers.encode())
    finally:
        alarm.cancel()
        os.close(ours)
        process.wait(LONG)
    return seen.decode("utf-8", "replace").replace("\r\n", "\n")


def plain(text: str) -> list[str]:
    """Its lines without escapes."""
    return ESCAPES.sub("", text).split("\n")
