"""Run NiFi's Python processors without NiFi: a fake API, a context and a FlowFile.

Importing this package puts the fake `nifiapi` on the path, unless a real one is there already.
"""

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FAKE = Path(__file__).parent / "fake"

if importlib.util.find_spec("nifiapi") is None:
    sys.path.append(str(FAKE))


class FakeFlowFile:
    """What a processor gets. size: told by getSize() instead of the content's, to play a huge one."""

    def __init__(self, content: bytes = b"", attributes: Mapping[str, str] | None = None, size: int | None = None):
        self._content = content
        self._attributes = dict(attributes or {})
        self._size = len(content) if size is None else size
        self.read = 0

    def getContentsAsBytes(self) -> bytes:
        self.read += 1
        return self._content

    def getSize(self) -> int:
        return self._size

    def getAttribute(self, name: str) -> str | None:
        return self._attributes.get(name)

    def getAttributes(self) -> dict[str, str]:
        return dict(self._attributes)


class FakeLogger:
    """Keeps what was logged, as (level, message)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __getattr__(self, level: str) -> Any:
        if level not in {"trace", "debug", "info", "warn", "error"}:
            raise AttributeError(level)
        return lambda message, *_: self.lines.append((level, message))


def context(processor: Any, **values: str) -> Any:
    """A ProcessContext with the processor's defaults, and values given as property_name='...' over them."""
    from nifiapi.properties import ProcessContext

    properties = {descriptor.name: descriptor.defaultValue for descriptor in processor.getPropertyDescriptors()}
    for name, value in values.items():
        known = {key.lower().replace(" ", "_"): key for key in properties}
        properties[known[name]] = value
    return ProcessContext(properties)
