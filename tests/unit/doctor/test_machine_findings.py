"""The doctor on the machine: Python, memory, CPUs, disks, CA bundles, proxies and ports."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from scripts.doctor import machine
from scripts.doctor.diagnosis import Grade, ok
from scripts.observe import machine as readings
from scripts.observe.machine import Disk, PortUse, Proxies
from scripts.stack import credentials
from scripts.stack.engines import registry
from scripts.stack.machine import Memory
from scripts.stack.settings import Settings
from tests.unit.doctor.severities import GIB, MIB, OK, PROBLEM, WARNING, severities

LOCK = """\
Has_Dots.and-more==1.0 \\
    --hash=sha256:00
windows==2 ; sys_platform == 'win32' \\
    --hash=sha256:00
two==1.3 ; python_full_version < '3.12' \\
two==3.0 ; python_full_version >= '3.12' \\
"""


@pytest.mark.parametrize(
    ("version", "installed", "named"),
    [
        ((3, 11), {"has-dots-and-more": "1.0", "two": "1.3", "unlisted": "7"}, ""),
        ((3, 12), {"has-dots-and-more": "1.0"}, "3.12"),
        ((3, 11), {"two": "1.3"}, "has-dots-and-more"),
        ((3, 11), {"has-dots-and-more": "1.1"}, "has-dots-and-more"),
        ((3, 11), {"has-dots-and-more": "1.0", "two": "2.0"}, "two"),
    ],
)
def test_python_and_its_packages(version: tuple[int, int], installed: dict[str, str], named: str) -> None:
    (found,) = machine.check_python(version, LOCK, installed)
    assert found.severity is (PROBLEM if named else OK)
    assert named in found.what


@pytest.mark.parametrize(
    ("available", "used", "severity"),
    [
        (6 * GIB, None, OK),
        (6 * GIB - 1, None, PROBLEM),
        (3 * GIB, 3 * GIB, OK),
        (3 * GIB, 2 * GIB, WARNING),
        (GIB // 4, 6 * GIB, PROBLEM),
    ],
)
def test_a_stack_that_runs_has_taken_its_memory(available: int, used: int | None, severity: Grade) -> None:
    assert severities([machine.check_memory(Memory(available, False), used)]) == [severity]


def test_a_containers_limit_is_told_from_a_small_machine() -> None:
    assert "container" in machine.check_memory(Memory(GIB, True), None).remedy
    assert "container" not in machine.check_memory(Memory(GIB, False), None).remedy


@pytest.mark.parametrize(("cores", "severity"), [(0.5, WARNING), (2.0, OK), (64.0, OK)])
def test_cores(cores: float, severity: Grade) -> None:
    assert severities([machine.check_cores(cores)]) == [severity]


def disk(folder: str = "/home", device: int = 1, free: int = 50 * GIB, writable: bool = True) -> Disk:
    return Disk(f"PIPELINE_{folder}", Path(folder), Path(folder), True, writable, device, free)


@pytest.mark.parametrize(
    ("free", "running", "severity"),
    [
        (6 * GIB, False, OK),
        (6 * GIB - 1, False, PROBLEM),
        (6 * GIB - 1, True, OK),
        (GIB, True, WARNING),
        (MIB, True, PROBLEM),
    ],
)
def test_a_disk_that_runs_full(free: int, running: bool, severity: Grade) -> None:
    one, other = disk("/one", free=free), disk("/other", free=free)
    (found,) = machine.check_disks([one, other], running=running)
    assert severities([found]) == [severity]
    assert "/one" in found.what
    assert "/other" in found.what, "one file system is told once, with all that is on it"
    assert len(list(machine.check_disks([one, replace(other, device=2)], running=running))) == 2


def test_a_folder_that_cannot_be_made_or_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    read = readings.read_disk("PIPELINE_HOME", tmp_path / "not" / "there")
    assert (read.there, read.is_folder, read.writable) == (tmp_path, True, True)
    read = readings.read_disk("PIPELINE_HOME", tmp_path / "file")
    found = list(machine.check_disks([read], running=False))
    assert found[0].what == f"{tmp_path}/file is no folder"
    found = list(machine.check_disks([disk(writable=False)], running=False))
    assert found[0].what == "/home cannot be written"
    found = list(machine.check_disks([replace(disk(writable=False), there=Path("/"))], running=False))
    assert found[0].what == "/home cannot be made: / is read-only"


def test_bundles_of_the_environment_and_of_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = credentials.ensure(tmp_path / "secrets")
    empty, configuration = tmp_path / "empty.pem", tmp_path / "pip.conf"
    empty.write_text("no certificate")
    configuration.write_text("[global]\ncert = /not/there.pem\n")
    for name in ("CURL_CA_BUNDLE", "PIP_CERT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.ca))
    monkeypatch.setenv("SSL_CERT_FILE", str(empty))
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    read = {bundle.setting: bundle for bundle in readings.read_bundles()}
    assert (read["REQUESTS_CA_BUNDLE"].certificates, read["REQUESTS_CA_BUNDLE"].fault) == (1, "")
    assert read["SSL_CERT_FILE"].fault == "holds no certificate"
    assert read["pip's global.cert"].fault == "does not exist"
    found = list(machine.check_bundles(list(read.values())))
    assert sorted(severities(found)) == [OK, PROBLEM, PROBLEM]
    assert {finding.remedy for finding in found} >= {
        "correct or unset SSL_CERT_FILE",
        "correct or unset pip's global.cert",
    }


@pytest.mark.parametrize(
    ("no_proxy", "severity"), [("", PROBLEM), ("example.org", PROBLEM), ("localhost,127.0.0.1", OK)]
)
def test_a_proxy_must_not_get_the_calls_of_our_own_engines(
    no_proxy: str, severity: Grade, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    assert list(machine.check_proxies(readings.read_proxies())) == []
    monkeypatch.setenv("HTTPS_PROXY", "http://user:word@proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    read = readings.read_proxies()
    assert read == Proxies({"HTTPS_PROXY": "proxy.example:3128"}, severity is PROBLEM)
    assert severities(machine.check_proxies(read)) == [severity]


@contextmanager
def holding(run: Path) -> Iterator[int]:
    """A port that a process of the stack with this run folder holds."""
    script = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-S", "-c", script],
        env={**os.environ, "PIPELINE_RUN": str(run)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())


def test_ports_know_their_holders(settings: Settings) -> None:
    with (
        holding(settings.run) as own,
        holding(Path("/other/run")) as other,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        foreign = server.getsockname()[1]
        ports = {**settings.ports, "kafka": own, "nifi": other, "source": foreign}
        read = {port.number: port for port in readings.read_ports(replace(settings, ports=ports))}
    assert read[own].ours
    assert (read[other].ours, read[other].home) == (False, "/other")
    assert (read[foreign].ours, read[foreign].home) == (False, "")
    assert read[settings.port(registry.PORT)].holder is None
    found = list(machine.check_ports(list(read.values())))
    assert severities(found) == [PROBLEM, PROBLEM]
    assert found[0].what == f"another stack, in /other, has the ports {other}"
    assert found[0].remedy.startswith("PIPELINE_HOME=/other ./scripts/pipeline down")
    assert f"port {foreign} (PIPELINE_SOURCE_PORT) is taken by {psutil.Process().name()}" in found[1].what


def test_ports_of_this_stack_are_fine() -> None:
    (found,) = machine.check_ports([PortUse(1, "A", None), PortUse(2, "B", " by java", ours=True)])
    assert found == ok("ports", "1 free, 1 held by this stack")
