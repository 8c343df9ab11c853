"""What a service keeps of memory that it does not use any more: two processes, one set up as a
service is, whose threads did the same."""

import platform
import subprocess
import sys

import pytest

WORK = """
import sys, threading
from pathlib import Path
if sys.argv[1] == "service":
    from reidsearch.service import memory
    memory.keep_little()

def work():
    blocks = [bytearray(2 << 20) for _ in range(25)]  # which glibc may keep for each thread

before = bytearray(30 << 20)
del before
for _ in range(4):
    one = threading.Thread(target=lambda: (work(), done.set(), over.wait()))
    done, over = threading.Event(), threading.Event()
    one.daemon = True
    one.start()
    done.wait()
lines = Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) // 1000 for line in lines if line.startswith("RssAnon")))
"""


def kept(how: str) -> int:
    """MB of its own that such a process has at the end."""
    done = subprocess.run(
        [sys.executable, "-c", WORK, how], check=True, capture_output=True, text=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries do so by themselves")
def test_a_service_gives_back_what_its_threads_freed() -> None:
    assert kept("program") > 100
    assert kept("service") < 60
