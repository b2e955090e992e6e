"""How many requests a second a client may make: the token bucket algorithm."""

import time
from collections import OrderedDict

# Clients that are remembered; whoever was not heard of for longest is forgotten, with a full bucket.
_CLIENTS = 10_000


class Rates:
    """Buckets that hold twice what a second brings, for the event loop of one process."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str) -> float:
        """Seconds until a client may ask; 0 where it may, and has."""
        if not self.rate:
            return 0.0
        now, most = time.monotonic(), max(2 * self.rate, 1.0)
        left, at = self._buckets.pop(client, (most, now))
        left = min(most, left + (now - at) * self.rate)
        allowed = left >= 1
        self._buckets[client] = (left - allowed, now)
        if len(self._buckets) > _CLIENTS:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self.rate
