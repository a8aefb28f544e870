"""One resource that many threads share: made when first needed, closed when the processor stops."""

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    def close(self) -> None: ...


T = TypeVar("T", bound=Closable)


class Lazy(Generic[T]):
    """At most one T, made when it is first needed: NiFi may replace a processor object without scheduling it anew."""

    def __init__(self) -> None:
        self._value: T | None = None
        self._lock = threading.Lock()

    def get(self, make: Callable[[], T]) -> T:
        """The value held, or what make() gives, held from now on."""
        with self._lock:
            if self._value is None:
                self._value = make()
            return self._value

    def release(self) -> None:
        """Close the value, if there is one."""
        with self._lock:
            value, self._value = self._value, None
        if value is not None:
            value.close()
