"""A reading that is missing, and why."""

from dataclasses import dataclass

from nifi_flows.errors import PipelineError
from nifi_flows.wording import one_line


@dataclass(frozen=True)
class Missing:
    """Why the reading of an area is missing. reported: by another area, whose trouble it is."""

    why: str
    reported: bool = False


def reason(error: Exception) -> str:
    """What went wrong, on one line."""
    if isinstance(error, PipelineError):
        return one_line(str(error))
    return one_line(f"cannot be read: {type(error).__name__}: {error}")
