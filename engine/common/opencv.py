"""Settings of OpenCV that hold for the whole process: its log messages, and its threads."""

from collections.abc import Callable
from functools import partial

import cv2

from engine.common.locks import ProcessSetting


def _silence() -> Callable[[], object]:
    log = cv2.utils.logging
    before = log.getLogLevel()
    log.setLogLevel(log.LOG_LEVEL_SILENT)
    return partial(log.setLogLevel, before)


def _one_thread() -> Callable[[], object]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    return partial(cv2.setNumThreads, before)


quiet_opencv = ProcessSetting(_silence)
"""Keeps OpenCV from logging until the block ends."""

one_thread_each = ProcessSetting(_one_thread)
"""Lets OpenCV's functions use the thread that calls them alone, while we have a thread for each core ourselves."""
