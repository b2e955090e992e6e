"""Settings of the whole process come back as they were, whichever of several threads ends last."""

from collections.abc import Callable
from threading import Barrier, Thread

import cv2
import pytest

from engine.common.locks import ProcessSetting
from engine.common.opencv import one_thread_each


def test_the_last_of_overlapping_blocks_puts_the_setting_back() -> None:
    value, met = ["before"], Barrier(2, timeout=30)

    def change() -> Callable[[], object]:
        before, value[0] = value[0], "changed"
        return lambda: value.__setitem__(0, before)

    setting = ProcessSetting(change)
    seen = []

    def first() -> None:
        with setting:
            met.wait()
            met.wait()
            seen.append(value[0])

    def second() -> None:
        met.wait()
        with setting:
            met.wait()
            thread.join()
            seen.append(value[0])

    thread = Thread(target=first)
    thread.start()
    second()
    assert seen == ["changed", "changed"]
    assert value == ["before"]


def test_a_change_that_fails_leaves_nothing_to_put_back() -> None:
    changes = []

    def change() -> Callable[[], object]:
        if not changes:
            changes.append("failed")
            raise ValueError("no such setting")
        return lambda: changes.append("back")

    setting = ProcessSetting(change)
    with pytest.raises(ValueError, match="no such setting"), setting:
        pass
    with setting:
        pass
    assert changes == ["failed", "back"]


def test_opencv_has_its_threads_back() -> None:
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(2)
        with one_thread_each, one_thread_each:
            assert cv2.getNumThreads() == 1
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)
