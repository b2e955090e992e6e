"""Connections of slow and broken clients: each has so many seconds for the head of a request, and there are only so many."""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""Seconds until the head of a request must be there, from its first byte, or from the beginning of the connection."""
MOST_HEAD = 32 << 10
"""Bytes of a request's head."""


class PatientProtocol(H11Protocol):
    """uvicorn's HTTP protocol with a time limit for the head of a request."""

    most_connections = 512
    _awaiting_head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            transport.abort()
            return
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        if self._awaiting_head is None and self.conn.their_state is h11.IDLE:
            self._wait_for_head()
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        self._awaiting_head = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._awaiting_head is not None:
            self._awaiting_head.cancel()
            self._awaiting_head = None

    def _give_up(self) -> None:
        self._awaiting_head = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.abort()
