"""What a service reports about itself: the metrics of /metrics, and the access log."""

import json
import logging
import logging.handlers
import os
import queue
import sys
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

_SECONDS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
# The processes of one service share their metrics in this folder.
SHARED = "PROMETHEUS_MULTIPROC_DIR"


class Numbers:
    """Counters and histograms of one service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        more: dict[str, Any] = {"registry": self._registry}
        self.requests = Counter("onek_requests", "Requests answered", ["method", "route", "status"], **more)
        self.seconds = Histogram("onek_request_seconds", "Time to answer", ["route"], buckets=_SECONDS, **more)
        self.batch = Histogram("onek_batch_size", "Pictures or probes done together", ["stage"], buckets=_SIZES, **more)
        self.decisions = Counter("onek_decisions", "Probe faces by what was decided", ["gallery", "decision"], **more)
        self.false_alarms = Counter(
            "onek_expected_false_alarms", "False alarms to expect if every search had been a stranger's", ["gallery"], **more
        )
        self.events_lost = Counter("onek_events_lost", "Events that could not be written", ["gallery"], **more)
        self.pictures_lost = Counter("onek_pictures_lost", "Pictures that could not be kept", ["gallery"], **more)
        self.identities = Gauge("onek_identities", "Identities enrolled", ["gallery"], multiprocess_mode="mostrecent", **more)

    def told_batch(self, stage: str, size: int) -> None:
        """A batch was done."""
        self.batch.labels(stage).observe(size)

    def told_picture_lost(self, gallery: str) -> None:
        """A picture could not be kept."""
        self.pictures_lost.labels(gallery).inc()

    def text(self) -> bytes:
        """All of them, of every process, in Prometheus's text format."""
        if os.environ.get(SHARED):
            together = CollectorRegistry()
            multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
            return generate_latest(together)
        return generate_latest(self._registry)


class _Lines(logging.handlers.QueueHandler):
    """A thread writes the lines, so that a full pipe delays no request; lines for which its queue has no room are dropped."""

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            return


class AccessLog:
    """One JSON object a line on standard output. Names are in none of its fields unless `names`."""

    def __init__(self, names: bool) -> None:
        self.names = names
        self._log = logging.getLogger(f"onek.access.{id(self)}")
        self._log.setLevel(logging.INFO)
        self._log.propagate = False
        lines: queue.Queue[logging.LogRecord] = queue.Queue(10_000)
        out = logging.StreamHandler(sys.stdout)
        self._log.addHandler(_Lines(lines))
        self._listener = logging.handlers.QueueListener(lines, out)
        self._listener.start()

    def write(self, said: dict[str, Any]) -> None:
        """One line."""
        self._log.info("%s", json.dumps(said, ensure_ascii=True, separators=(",", ":")))

    def close(self) -> None:
        """Write what waits."""
        self._listener.stop()
        self._log.handlers.clear()
