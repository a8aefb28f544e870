from enum import Enum


class Scope(Enum):
    CLUSTER = 1
    LOCAL = 2


class StateException(Exception):
    pass


class StateMap:
    def __init__(self, java_statemap: dict[str, str]) -> None:
        self._state = java_statemap

    def get(self, key: str) -> str | None:
        return self._state.get(key)

    def toMap(self) -> dict[str, str]:
        return dict(self._state)


class StateManager:
    """Keeps its state in a dict that the test holds; calls counts what a real one would ask of the JVM."""

    def __init__(self, java_state_manager: dict[str, str]) -> None:
        self.stored = java_state_manager
        self.calls = 0
        self.broken = False

    def getState(self, scope: Scope) -> StateMap:
        self._called("Get state failed")
        return StateMap(dict(self.stored))

    def setState(self, state: dict[str, str], scope: Scope) -> None:
        self._called("Set state failed")
        self.stored.clear()
        self.stored.update(state)

    def _called(self, failure: str) -> None:
        self.calls += 1
        if self.broken:
            raise StateException(failure)
