"""Progress for whoever reads a pipe or a log: now and then a line, instead of a bar."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import humanfriendly
from rich.progress import TaskID

# Seconds between two lines.
EVERY = 10.0
# Seconds between two looks at whether it is time for one, while nothing moves.
_ASKED = 1.0


@dataclass(frozen=True)
class _Task:
    what: str
    total: float | None
    began: float
    done: float = 0


class Lines:
    """What `rich.progress.Progress` is on a terminal, as lines: one each `EVERY` seconds, of the task that moved last, and also
    while nothing moves.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._said = clock()
        self._tasks: list[_Task] = []
        self._latest = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._beat = threading.Thread(target=self._say_on, daemon=True)

    def add_task(self, description: str, total: float | None = None) -> TaskID:
        """Add a task."""
        self._tasks.append(_Task(description, total, self._clock()))
        return TaskID(len(self._tasks) - 1)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Note that a task has advanced."""
        self.update(task_id, completed=self._tasks[task_id].done + advance)

    def update(
        self,
        task_id: TaskID,
        *,
        total: float | None = None,
        completed: float | None = None,
        description: str | None = None,
    ) -> None:
        """Change what is known of a task."""
        known = self._tasks[task_id]
        self._tasks[task_id] = replace(
            known,
            what=description or known.what,
            total=known.total if total is None else total,
            done=known.done if completed is None else completed,
        )
        self._latest = task_id
        self.say_if_due()

    def say_if_due(self) -> None:
        """Say how far the latest task is, if it is time."""
        with self._lock:
            now = self._clock()
            if self._tasks and now - self._said >= EVERY:
                self._said = now
                task = self._tasks[self._latest]
                self._say(_line(task, now - task.began))

    def _say_on(self) -> None:
        while not self._ended.wait(_ASKED):
            self.say_if_due()

    def __enter__(self) -> "Lines":
        self._beat.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Print nothing at the end: the command itself says what it did."""
        self._ended.set()
        self._beat.join()


def _line(task: _Task, taken: float) -> str:
    if not task.total:
        return f"{task.what}: {task.done:,.0f}"
    line = f"{task.what}: {task.done:,.0f} of {task.total:,.0f} ({task.done / task.total:.0%})"
    left = taken * (task.total - task.done) / task.done if task.done else 0
    return f"{line}, about {humanfriendly.format_timespan(round(left))} left" if left >= 1 else line
