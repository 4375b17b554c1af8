"""Work over several processes: results in order, Ctrl-C and kill leave no process behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from wavetts.errors import UserError


def ordered_map(
    function: Callable[[Any], Any],
    items: Iterable[Any],
    jobs: int,
    start: Callable[[], None] | None = None,
    chunksize: int = 1,
) -> Generator[Any]:
    """Yield `function(item)` for every item, in their order.

    Closing the iterator, an exception, or Ctrl-C drops the items that no process has begun.

    Args:
        function: picklable, as the items and results are.
        items: what to work on; they are all taken at once.
        jobs: processes; 1 works in this one.
        start: called once in every process that works, before the first item; it must not fail.
        chunksize: items that a process gets at a time.

    Raises:
        UserError: a process was killed, or what `function` raises.
    """
    if jobs == 1:
        if start:
            start()
        yield from map(function, items)
        return
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(jobs, context, initializer=_start_worker, initargs=(start,))
    try:
        yield from executor.map(function, items, chunksize=chunksize)
    except BrokenProcessPool as error:
        raise UserError("a worker process died (out of memory?); run again with fewer processes") from error
    finally:
        executor.shutdown(cancel_futures=True)


def _start_worker(start: Callable[[], None] | None) -> None:
    """Leave Ctrl-C to the parent, and end with it: a pool's workers would otherwise wait for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker has a parent"

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    if start:
        start()
