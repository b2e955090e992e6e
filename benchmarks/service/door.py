"""How long the page of a door takes from a frame of its camera to the box and the name on the face, in a real browser."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.service.running import Running, untold
from benchmarks.service.speed import Waited
from engine.errors import ServiceError

WIDTH, HEIGHT = 640, 480
CAMERA = "--use-fake-device-for-media-stream"
# Frames until the browser and the service have done everything once.
_FIRST = 10
# What the page is told to note: when it took a frame, and when what it wrote of the frame was on the screen.
_NOTE = """
window.waited = [];
const paint = CanvasRenderingContext2D.prototype, { drawImage, fillText } = paint;
let taken = null;
paint.drawImage = function (...given) {
  if (given[0] instanceof HTMLVideoElement) taken = performance.now();
  return drawImage.apply(this, given);
};
paint.fillText = function (...given) {
  if (taken !== null) {
    const start = taken;
    taken = null;
    requestAnimationFrame(() => setTimeout(() => window.waited.push(performance.now() - start), 0));
  }
  return fillText.apply(this, given);
};
"""


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


def at_the_door(
    gallery: Path, picture: np.ndarray, place: Path, frames: int = 200, progress: Callable[[int], None] = untold
) -> Waited:
    """Milliseconds from a frame of 640x480 that shows `picture`, RGB uint8 (height, width, 3), to the name on the screen.

    `place`: a folder for the film.

    Raises:
        ServiceError: there is no browser, or the page named nobody.
    """
    executable = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if executable is None:
        raise ServiceError("no browser; expected chromium-headless-shell: apt-get install chromium-headless-shell")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise ServiceError("no playwright; expected pip install playwright") from error
    flags = ["--use-fake-ui-for-media-stream", CAMERA, f"--use-file-for-fake-video-capture={film(picture, place / 'c.y4m')}"]
    with Running(gallery, "--rate", 0) as service, sync_playwright() as started:
        opened = started.chromium.launch(executable_path=executable, args=flags)
        page = opened.new_page()
        page.add_init_script(_NOTE)
        page.goto(service.url)
        page.click("#warning button")
        page.click("#camera")
        waited = _noted(page, _FIRST + frames, progress)[_FIRST:]
        opened.close()
    return Waited(float(np.percentile(waited, 50)), float(np.percentile(waited, 99)), len(waited))


def _noted(page: Any, frames: int, progress: Callable[[int], None]) -> list[float]:
    """The first so many waits that a page noted. Raises `ServiceError` where it wrote no name for half a minute."""
    known, still = 0, 0
    while known < frames:
        page.wait_for_timeout(500)
        now = int(page.evaluate("window.waited.length"))
        still = 0 if now > known else still + 1
        if still > 60:
            raise ServiceError("the page wrote no name for 30 s; expected a picture with a face that can be found")
        progress(now - known)
        known = now
    found: list[float] = page.evaluate("window.waited")
    return found[:frames]
