"""Work that runs ahead: threads prepare what comes next while the caller uses what is ready."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor


def map_ahead(function: Callable, items: Iterable, ahead: int = 64) -> Iterator:
    """Yield function(item) in order, computed by threads at most `ahead` items early.

    Reading, decoding and cropping release Python's lock, so they overlap with the network; the
    bound keeps memory flat whatever the number of items.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pending: deque = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:  # the caller stopped early: drop what has not begun
            pool.shutdown(wait=False, cancel_futures=True)
