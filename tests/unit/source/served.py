"""A source that is told to misbehave: over its socket, and by the command."""

import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from scripts.commands import source as command
from scripts.source.behaviour import Behaviour
from scripts.source.server import HOST

ASKED = "results=20&seed=f"


@dataclass(frozen=True)
class Served:
    """A source in this process."""

    port: int
    file: Path

    def ask(self, path: str) -> http.client.HTTPResponse:
        """The answer as far as its headers; its body is not yet read."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        connection.request("GET", path)
        return connection.getresponse()

    def page(self, query: str) -> tuple[int, bytes]:
        answer = self.ask(f"/api/?{query}")
        return answer.status, answer.read()

    def stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = json.loads(self.ask("/stats").read())
        return stats

    def tell(self, **told: Any) -> None:
        """As the command does it."""
        part = self.file.with_name("part")
        part.write_bytes(Behaviour(**told).json())
        part.replace(self.file)


def call(*arguments: str) -> str:
    """What `source ARGUMENTS` prints. Raises whatever ends it."""
    done = CliRunner().invoke(command.app, arguments)
    if done.exception:
        raise done.exception
    return done.output
