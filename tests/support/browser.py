"""A browser whose camera shows what a test chooses."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

WIDTH, HEIGHT = 640, 480
_CAMERA = "--use-fake-device-for-media-stream"


def executable() -> str:
    """The system's browser; skips the test where there is none."""
    found = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if found is None:
        pytest.skip("no chromium-headless-shell; apt-get install chromium-headless-shell")
    return found


def film(picture: np.ndarray, path: Path) -> Path:
    """A film for the camera that shows one RGB picture, uint8 (height, width, 3), in the middle of a grey wall."""
    scale = min(WIDTH / picture.shape[1], HEIGHT / picture.shape[0])
    shown = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    frame = np.full((HEIGHT, WIDTH, 3), 110, np.uint8)
    top, left = (HEIGHT - shown.shape[0]) // 2, (WIDTH - shown.shape[1]) // 2
    frame[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
    coded = cv2.cvtColor(np.ascontiguousarray(frame[..., ::-1]), cv2.COLOR_BGR2YUV_I420).tobytes()
    path.write_bytes(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F10:1 Ip A1:1 C420jpeg\n".encode() + (b"FRAME\n" + coded) * 5)
    return path


@contextlib.contextmanager
def browser(camera: Path | str | None, *more: str) -> Iterator[Any]:
    """A browser with a film before its camera; `deny` refuses the camera, None has none. `more` are flags for the browser."""
    flags = ["--use-fake-ui-for-media-stream", f"{_CAMERA}=device-count=0"]
    if camera == "deny":
        flags = ["--use-fake-ui-for-media-stream=deny", _CAMERA]
    elif camera is not None:
        flags = ["--use-fake-ui-for-media-stream", _CAMERA, f"--use-file-for-fake-video-capture={camera}"]
    with _playwright() as started:
        opened = started.chromium.launch(executable_path=executable(), args=[*flags, *more])
        try:
            yield opened
        finally:
            opened.close()


_running: list[Any] = []


@contextlib.contextmanager
def _playwright() -> Iterator[Any]:
    """What drives browsers: one at a time for a thread, however many browsers it drives."""
    if _running:
        yield _running[0]
        return
    with pytest.importorskip("playwright.sync_api").sync_playwright() as started:
        _running.append(started)
        try:
            yield started
        finally:
            _running.clear()


def visit(opened: Any, url: str, **context: Any) -> Any:
    """The page of a service, past the warning of its first start."""
    page = opened.new_context(**context).new_page()
    page.goto(url)
    page.wait_for_selector("#warning[open]")
    page.click("#warning button")
    return page
