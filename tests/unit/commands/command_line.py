"""What a command leaves behind, as the tests of the command line look at it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def error(self) -> tuple[str, str]:
        """What was wrong and what to do next, when that is all that was said."""
        assert self.out == ""
        error, remedy = self.err.splitlines()
        assert error.startswith("error: "), error
        assert remedy.startswith("  next: "), remedy
        return error[7:], remedy[8:]


Pipeline = Callable[..., Ended]
