"""A browser whose camera shows what a test chooses."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.service.door import CAMERA


def executable() -> str:
    """The system's browser; skips the test where there is none."""
    found = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if found is None:
        pytest.skip("no chromium-headless-shell; apt-get install chromium-headless-shell")
    return found


@contextlib.contextmanager
def browser(camera: Path | str | None, *more: str) -> Iterator[Any]:
    """A browser with a film before its camera; `deny` refuses the camera, None has none. `more` are flags for the browser."""
    flags = ["--use-fake-ui-for-media-stream", f"{CAMERA}=device-count=0"]
    if camera == "deny":
        flags = ["--use-fake-ui-for-media-stream=deny", CAMERA]
    elif camera is not None:
        flags = ["--use-fake-ui-for-media-stream", CAMERA, f"--use-file-for-fake-video-capture={camera}"]
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
