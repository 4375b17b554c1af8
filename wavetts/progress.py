"""Progress bars on terminals, and a line now and then where standard error is a file or a pipe.

tqdm is imported when a bar is made: the help of the command line needs none.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

# A bar that redraws itself would fill a log.
SECONDS_BETWEEN_LINES = 30.0


def progress_bar(iterable: Iterable | None = None, **options: Any) -> tqdm:
    """A tqdm bar on standard error; nobody watches a file or a pipe, which get a line every half minute.

    Args:
        iterable: to wrap, as tqdm does.
        options: tqdm's.
    """
    return _bar_class(sys.stderr.isatty())(iterable, file=sys.stderr, dynamic_ncols=True, **options)


@functools.cache
def _bar_class(on_terminal: bool) -> type[tqdm]:
    from tqdm import tqdm

    if on_terminal:
        return tqdm

    class Lines(tqdm):
        """Writes whole lines, seldom."""

        def __init__(self, *args: Any, **options: Any) -> None:
            self._written = time.monotonic()
            super().__init__(*args, **options)

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            """Writes a line if there was none for a while."""
            now = time.monotonic()
            if now - self._written >= SECONDS_BETWEEN_LINES:
                self._written = now
                self.fp.write(f"{' '.join(str(self).split())}\n")
                self.fp.flush()

        def clear(self, *args: Any, **options: Any) -> None:
            """There is nothing to clear."""

        def close(self) -> None:
            """Ends it without a last line: what follows tells that it is done."""
            self.sp = None
            super().close()

    return Lines
