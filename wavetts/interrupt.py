"""Ending a long run in order when the user or the system asks for it."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType


class Interrupt:
    """Within its context the first SIGINT or SIGTERM is noted as `signal`; a second one acts as outside of it."""

    def __init__(self) -> None:
        """No signal yet."""
        self.signal: signal.Signals | None = None
        self._handlers: dict[signal.Signals, object] = {}

    def __enter__(self) -> Interrupt:
        """Starts to note signals."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self._handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Gives the signals back to who had them."""
        self._restore()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.signal = signal.Signals(number)
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
