"""The data dir's lock: one holder at a time, told by name, in whatever threads it works."""

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reidsearch import lock
from reidsearch.errors import StoreLocked
from reidsearch.lock import Held


def test_who_asks_while_it_is_held_is_told_by_whom(tmp_path: Path) -> None:
    with Held(tmp_path, purpose="ingest"):
        with pytest.raises(StoreLocked, match=rf"reidsearch ingest \(process {os.getpid()}, since"):
            Held(tmp_path, purpose="query", patience=0.1)
        assert json.loads((tmp_path / lock.HOLDER).read_text())["command"] == "ingest"
    assert not (tmp_path / lock.HOLDER).exists()
    Held(tmp_path, purpose="query", patience=0.1).release()


def test_it_may_be_released_by_another_thread_and_more_than_once(tmp_path: Path) -> None:
    first = Held(tmp_path, purpose="ingest")
    with ThreadPoolExecutor(4) as pool:
        for released in [pool.submit(first.release) for _ in range(8)]:
            released.result()
    with Held(tmp_path, purpose="query", patience=0.1):
        first.release()  # is no longer its own
        assert json.loads((tmp_path / lock.HOLDER).read_text())["command"] == "query"
        with pytest.raises(StoreLocked):
            Held(tmp_path, purpose="forget", patience=0.1)


def test_of_many_threads_one_has_it_at_a_time_and_its_record_is_always_whole(
    tmp_path: Path,
) -> None:
    inside, most = 0, 0
    counting = threading.Lock()

    def work(nth: int) -> None:
        nonlocal inside, most
        with Held(tmp_path, purpose=f"verb{nth}", patience=30):
            with counting:
                inside += 1
                most = max(most, inside)
            record = json.loads((tmp_path / lock.HOLDER).read_text())
            assert record["command"] == f"verb{nth}"
            with counting:
                inside -= 1

    with ThreadPoolExecutor(8) as pool:
        for worked in [pool.submit(work, nth) for nth in range(16)]:
            worked.result()
    assert most == 1


def test_a_record_that_cannot_be_read_does_not_hide_that_it_is_held(tmp_path: Path) -> None:
    with Held(tmp_path, purpose="ingest"):
        (tmp_path / lock.HOLDER).write_text("{")
        with pytest.raises(StoreLocked, match="another process holds the gallery"):
            Held(tmp_path, purpose="query", patience=0.1)


def test_a_folder_that_cannot_take_the_record_is_not_left_locked(tmp_path: Path) -> None:
    (tmp_path / lock.HOLDER).mkdir()  # a file cannot take its place
    with pytest.raises(OSError, match=lock.HOLDER):
        Held(tmp_path, purpose="ingest")
    (tmp_path / lock.HOLDER).rmdir()
    Held(tmp_path, purpose="ingest", patience=0.1).release()
