"""Progress for whoever reads a pipe or a log: now and then a line, instead of a bar."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import humanfriendly
from rich.progress import TaskID

# Seconds between two lines, and of work after which the first one says how long the rest will take, if that is longer.
EVERY, FIRST = 10.0, 1.0
# Seconds between two looks at whether it is time for one, while nothing moves.
_ASKED = 1.0


@dataclass(frozen=True)
class Task:
    """What moves. `began`: when it first moved, in seconds, and how far it was then: what went before was loading."""

    what: str
    total: float | None
    done: float = 0
    began: tuple[float, float] | None = None

    def moved(self, done: float, now: float) -> "Task":
        """The same, `done` so far `now`."""
        first = done > 0 and (self.began is None or done < self.began[1])
        return replace(self, done=done, began=(now, done) if first else self.began)

    def left(self, now: float) -> float | None:
        """The seconds that the rest will take at the speed that it had until now; None while that is not known."""
        if self.total is None or self.began is None or self.done <= self.began[1] or now - self.began[0] < FIRST:
            return None
        start, first = self.began
        return (now - start) * (self.total - self.done) / (self.done - first)


class Lines:
    """What `rich.progress.Progress` is on a terminal, as lines: one each `EVERY` seconds, of the task that moved last, and also
    while nothing moves; of a task that takes longer the first comes as soon as that is known.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._said = clock()
        self._tasks: list[Task] = []
        self._latest = 0
        self._announced: set[int] = set()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._beat = threading.Thread(target=self._say_on, daemon=True)

    def add_task(self, description: str, total: float | None = None) -> TaskID:
        """Add a task."""
        self._tasks.append(Task(description, total))
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
        told = replace(known, what=description or known.what, total=known.total if total is None else total)
        self._tasks[task_id] = told.moved(known.done if completed is None else completed, self._clock())
        self._latest = task_id
        self.say_if_due()

    def say_if_due(self) -> None:
        """Say how far the latest task is, if it is time."""
        with self._lock:
            if not self._tasks:
                return
            now, task = self._clock(), self._tasks[self._latest]
            left = task.left(now)
            first = self._latest not in self._announced and left is not None and left >= EVERY
            if first or now - self._said >= EVERY:
                self._said = now
                self._announced.add(self._latest)
                self._say(_line(task, left))

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


def _line(task: Task, left: float | None) -> str:
    if not task.total:
        return f"{task.what}: {task.done:,.0f}"
    line = f"{task.what}: {task.done:,.0f} of {task.total:,.0f} ({task.done / task.total:.0%})"
    return f"{line}, about {humanfriendly.format_timespan(round(left))} left" if left is not None and left >= 1 else line
