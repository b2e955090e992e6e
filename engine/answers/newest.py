"""The newest snapshot of a gallery that a process knows, for any number of threads."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from engine.common.locks import ThreadLock

Seen = TypeVar("Seen")


@dataclass(frozen=True)
class _At(Generic[Seen]):
    """A snapshot, and how many changes this process had made before it was taken."""

    seen: Seen
    changes: int


class Newest(Generic[Seen]):
    """The newest snapshot, which `look` makes from the one before: when asked to, or at the first question after a change of this
    process. Readers wait for each other only while one of them looks.
    """

    def __init__(self, seen: Seen, look: Callable[[Seen], Seen]) -> None:
        self._look = look
        self._at = _At(seen, 0)
        self._changes = 0
        self._looking = ThreadLock()

    @property
    def last(self) -> Seen:
        """The snapshot taken last, whatever has changed since."""
        return self._at.seen

    @property
    def since(self) -> int:
        """How many changes this process has made since that snapshot."""
        return self._changes - self._at.changes

    def current(self) -> Seen:
        """The snapshot taken last, or a new one if this process has changed something since."""
        at = self._at
        return at.seen if at.changes == self._changes else self.looked(again=False)

    def looked(self, again: bool = True) -> Seen:
        """A new snapshot; unless `again`, one that another thread took in the meantime will do."""
        with self._looking:
            changes = self._changes
            if again or self._at.changes != changes:
                self._at = _At(self._look(self._at.seen), changes)
            return self._at.seen

    def changed(self, by: int) -> None:
        """Note that so many changes were made: the next call of any thread takes a new snapshot."""
        with self._looking:
            self._changes += by
