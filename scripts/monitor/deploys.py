"""What the monitor has to know of deploys: who holds the flow, who deploys it, and what git has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from scripts.monitor.missing import reason

if TYPE_CHECKING:
    from scripts.deployment.context import Context


@dataclass(frozen=True)
class Deploys:
    """held: who, why and since when, None when nobody holds the flow. deploying: who deploys now.

    new_version: of git, not deployed yet. trouble: what of all this could not be read, in words.
    """

    held: Mapping[str, str] | None = None
    deploying: str | None = None
    new_version: str | None = None
    trouble: tuple[str, ...] = ()


def read(context: Context) -> Deploys:
    """What cannot be read is said in its trouble."""
    from scripts.deployment import state

    trouble: list[str] = []

    def ask(what: str, question: Callable[[Context], Any]) -> Any:
        try:
            return question(context)
        except Exception as error:  # noqa: BLE001 - whatever it is, the look goes on and says it
            trouble.append(f"{what}: {reason(error)}")
            return None

    hold = ask("hold", state.held)
    deploying = ask("deploy under way", state.deploying)
    new = ask("version in git", state.new_version)
    held = None if hold is None else {key: str(value) for key, value in asdict(hold).items()}
    return Deploys(held, str(deploying) if deploying else None, new, tuple(trouble))
