"""A binary of Redpanda Connect or Benthos: whether it is one, and the configuration that it is run with."""

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nifi_flows.errors import TerminalError
from nifi_flows.files import write_private
from nifi_flows.wording import one_line
from scripts.stack.launch import inherited

PRODUCER, CONSUMER = "producer.yaml", "consumer.yaml"

_ANSWER = 20  # seconds that it gets to say what it is
_PLACE = re.compile(r"<<(\w+)>>")
_PLAIN = re.compile(r"[\w.,:/-]*")  # what means itself in a double-quoted text of YAML, in a URL and in CQL
_VERSION = re.compile(r"Version: (\S+)\nDate: ")
_REMEDY = "give the path of a redpanda-connect or benthos binary"
_QUIET = "--disable-telemetry"
_SAMPLE: Mapping[str, str | int] = {
    **{"source": "http://127.0.0.1/", "seed": "s", "size": 1, "pages": 1, "interval": "1ms", "subject": "s"},
    **{"brokers": "127.0.0.1:1", "registry": "http://127.0.0.1/", "topic": "t", "cassandra": "127.0.0.1:1"},
    **{"user": "u", "password": "p", "table": "k.t"},
}


@dataclass(frozen=True)
class Peer:
    """arguments: what the binary is called with before the path of a configuration."""

    path: Path
    version: str
    arguments: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"{self.path.name} {self.version}"

    def command(self, configuration: Path) -> list[str]:
        return [str(self.path), *self.arguments, str(configuration)]


def find(path: Path) -> Peer:
    """The peer that this file is. Raises TerminalError unless it says that it is one and takes both configurations."""
    path = path.absolute()
    if not path.is_file() or not os.access(path, os.X_OK):
        raise TerminalError(f"the peer {path} is no executable file", _REMEDY)
    code, said = _asked(path, "--version")
    version = _VERSION.match(said)
    if code or not version:
        words = one_line((said.strip().splitlines() or [f"nothing and ends with {code}"])[0])
        raise TerminalError(f"the peer {path} is no Redpanda Connect or Benthos: --version says {words}", _REMEDY)
    with tempfile.TemporaryDirectory() as folder:
        files = [write(name, Path(folder), _SAMPLE) for name in (PRODUCER, CONSUMER)]
        code, said = _asked(path, "lint", *map(str, files))
    if code:
        raise TerminalError(f"the peer {path} cannot do its part: {one_line(said)}", _REMEDY)
    # Those that have the option tell their makers of each run otherwise; older ones know only -c.
    quiet = _QUIET in _asked(path, "run", "--help")[1]
    return Peer(path, version[1], ("run", _QUIET) if quiet else ("-c",))


def write(name: str, folder: Path, values: Mapping[str, str | int]) -> Path:
    """Write the configuration of this name into a folder, for its owner alone; returns its path.

    values: of what stands in << >> in the file of the same name beside this one. Raises KeyError when one is missing,
    ValueError when one has a character that would mean something there.
    """

    def value(place: re.Match[str]) -> str:
        text = str(values[place[1]])
        if not _PLAIN.fullmatch(text):
            raise ValueError(f"{place[1]} can't stand in {name}")
        return text

    path = folder / name
    write_private(path, _PLACE.sub(value, (Path(__file__).parent / name).read_text()))
    return path


def environment() -> dict[str, str]:
    """The user's, without what is secret in it."""
    return inherited(os.environ, secrets=False)


def _asked(path: Path, *arguments: str) -> tuple[int, str]:
    """Its exit code, and what it says on both of its outputs."""
    try:
        done = subprocess.run(
            [str(path), *arguments],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_ANSWER,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TerminalError(f"the peer {path} does not run: {one_line(str(error))}", _REMEDY) from error
    return done.returncode, done.stdout.decode(errors="replace")
