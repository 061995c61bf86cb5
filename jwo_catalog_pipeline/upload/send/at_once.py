"""Sending several batches at once, in their order, until all are sent, one fails, or somebody says stop."""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from jwo_catalog_pipeline.upload.errors import SendingHalted
from jwo_catalog_pipeline.upload.model import Batch

LOOK_SECONDS = 1.0  # between two looks at whether to stop: no batch is begun later than that
# How long batches under way may take to end after a stop: ECS kills a task 30 s after it asked it to stop.
GRACE_SECONDS = 10.0

Sent = tuple[Batch, list[Batch]]  # a batch as it is then, and the parts that are to be sent instead of it


def send_at_once(
    waiting: deque[Batch],
    send: Callable[[Batch], Sent],
    on_sent: Callable[[Batch], None],
    at_once: int,
    stopping: threading.Event,
    halted: Callable[[], str],
) -> None:
    """Send batches. An upload has every item once, so none of them overtakes another.

    Args:
        waiting: in their order; emptied. The parts of a refused batch take its place.
        send: sends one, in a thread.
        on_sent: called with each, in this thread.
        at_once: how many are under way at the most.
        stopping: set when sending is to stop, so that threads end their pauses and begin nothing more.
        halted: asked each second; says why sending is to stop, "" for going on.

    After an error no further batch is begun; those that are under way are brought to their end. After a stop, and after
    an interrupt of this thread, so are those that take no longer than `GRACE_SECONDS`; what takes longer keeps its
    lease, and counts as in doubt once that has expired.

    Raises:
        SendingHalted: `halted` gave a reason.
    """
    under_way: set[Future[Sent]] = set()
    failed: BaseException | None = None
    next_look = time.monotonic() + LOOK_SECONDS
    threads = ThreadPoolExecutor(at_once)
    try:
        while under_way or (waiting and not failed):
            while waiting and not failed and len(under_way) < at_once:
                under_way.add(threads.submit(send, waiting.popleft()))
            for ended in wait(under_way, LOOK_SECONDS, FIRST_COMPLETED).done:
                under_way.remove(ended)
                if error := ended.exception():
                    failed = failed or error
                    continue
                batch, parts = ended.result()
                waiting.extendleft(reversed(parts))
                on_sent(batch)
            if time.monotonic() >= next_look:
                _raise_if(halted())
                next_look = time.monotonic() + LOOK_SECONDS
    except BaseException:
        stopping.set()
        wait(under_way, GRACE_SECONDS)
        raise
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
    if failed:
        raise failed


def _raise_if(reason: str) -> None:
    if reason:
        raise SendingHalted(reason)
