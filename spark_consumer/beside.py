"""Work beside the thread that decides: one piece at a time, in a thread that holds up nobody's end."""

import contextlib
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from spark_consumer.errors import NeedsNewProcess

_HUNG = 120.0  # seconds for a piece, which never takes as long

T = TypeVar("T")


class Beside(Generic[T]):
    """What is done beside. Times are monotonic seconds."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._future: Future[T] | None = None
        self._begun = -math.inf
        self.not_before = -math.inf
        """when the next piece may begin"""

    def free(self, now: float) -> bool:
        """Whether another piece may begin now."""
        return self._future is None and now >= self.not_before

    def begin(self, work: Callable[[], T], not_before: float) -> None:
        """Do it. not_before: when the one after it may begin."""
        future: Future[T] = Future()
        self._future, self._begun, self.not_before = future, time.monotonic(), not_before

        def done() -> None:
            try:
                future.set_result(work())
            except Exception as error:  # noqa: BLE001 - it is raised where the result is asked for
                future.set_exception(error)

        threading.Thread(target=done, name=self._name, daemon=True).start()

    def result(self) -> T | None:
        """What the piece that has ended returned, once; None when none has.

        Raises what it raised, and Hung when it takes far too long.
        """
        future = self._future
        if future is None:
            return None
        if not future.done():
            if time.monotonic() > self._begun + _HUNG:
                raise Hung(f"{self._name} has not ended within {_HUNG:g} s")
            return None
        self._future = None
        return future.result()

    def wait(self, seconds: float) -> None:
        """Wait for the piece under way, so long at most."""
        if self._future is not None:
            with contextlib.suppress(Exception):  # it is raised where the result is asked for
                self._future.exception(seconds)


class Hung(NeedsNewProcess):
    """Raised when something that holds up nothing else does not end."""
