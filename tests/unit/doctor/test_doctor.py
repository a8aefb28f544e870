"""The doctor: what each reading means, and that no state of the machine or the stack is too broken to be told."""

import datetime as dt
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import typer

from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.wording import one_line
from scripts.commands import console
from scripts.commands import doctor as command
from scripts.doctor import engines, examine, files, flow, machine, topics
from scripts.doctor.engines import Process, Supervised
from scripts.doctor.examine import Check
from scripts.doctor.finding import Finding, Severity, exit_code, failed, ok, problem, warning
from scripts.doctor.flow import Bulletin, Canvas, Processor, Queue
from scripts.doctor.machine import Disk, Port, Proxies
from scripts.doctor.topics import DeadLetters, Progress
from scripts.stack import configuration, credentials, fetch, hops, preflight
from scripts.stack import machine as resources
from scripts.stack.engines import PORTS, kafka, registry
from scripts.stack.fetch import Differences
from scripts.stack.hops import Position
from scripts.stack.launch import boot_id
from scripts.stack.lock import Artifact
from scripts.stack.machine import Memory
from scripts.stack.settings import Settings

GIB = 1024**3
MIB = 1024**2
PROBLEM, WARNING, OK = Severity.problem, Severity.warning, Severity.ok


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A stack that is not there, on ports where nothing listens."""
    for name in list(os.environ):
        if name.startswith("PIPELINE_"):
            monkeypatch.delenv(name)
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in PORTS]
    for port, opened in zip(PORTS, sockets, strict=True):
        monkeypatch.setenv(port.variable, str(opened.getsockname()[1]))
        opened.close()
    monkeypatch.setenv("PIPELINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIPELINE_CACHE", str(tmp_path / "cache"))
    return configuration.load()


def severities(findings: Any) -> list[Severity]:
    listed = list(findings)
    assert all(finding.remedy or finding.severity is OK for finding in listed), "what is wrong comes with a remedy"
    return [finding.severity for finding in listed]


# What findings mean


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([], 0),
        ([ok("a", "b"), warning("a", "b", "c")], 0),
        ([problem("a", "b", "c")], 1),
        ([problem("a", "b", "c", passing=True), warning("a", "b", "c")], 75),
        ([problem("a", "b", "c", passing=True), problem("a", "b", "c")], 1),
    ],
)
def test_the_exit_code(findings: list[Finding], code: int) -> None:
    assert exit_code(findings, later=75) == code


def test_the_text_of_others_commands_no_terminal_and_stays_on_a_line() -> None:
    assert one_line("a\x1b[31mb\r\nc\td\x07\u202e  e") == "a [31mb c d e"
    assert len(one_line("x" * 10_000)) == 240


def test_a_reading_that_fails_is_a_finding() -> None:
    later, never = failed("lag", TransientError("Kafka is away\nfar", "wait")), failed("lag", TerminalError("no"))
    assert (later.what, later.remedy, later.passing) == ("Kafka is away far", "wait", True)
    assert not never.passing
    assert never.remedy
    assert failed("lag", KeyError("x")).what == "cannot be examined: KeyError: 'x'"


# The machine

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
def test_a_stack_that_runs_has_taken_its_memory(available: int, used: int | None, severity: Severity) -> None:
    assert severities([machine.check_memory(Memory(available, False), used)]) == [severity]


def test_a_containers_limit_is_told_from_a_small_machine() -> None:
    assert "container" in machine.check_memory(Memory(GIB, True), None).remedy
    assert "container" not in machine.check_memory(Memory(GIB, False), None).remedy


@pytest.mark.parametrize(("cores", "severity"), [(0.5, WARNING), (2.0, OK), (64.0, OK)])
def test_cores(cores: float, severity: Severity) -> None:
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
def test_a_disk_that_runs_full(free: int, running: bool, severity: Severity) -> None:
    one, other = disk("/one", free=free), disk("/other", free=free)
    (found,) = machine.check_disks([one, other], running)
    assert severities([found]) == [severity]
    assert "/one" in found.what
    assert "/other" in found.what, "one file system is told once, with all that is on it"
    assert len(list(machine.check_disks([one, replace(other, device=2)], running))) == 2


def test_a_folder_that_cannot_be_made_or_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    read = machine.read_disk("PIPELINE_HOME", tmp_path / "not" / "there")
    assert (read.there, read.is_folder, read.writable) == (tmp_path, True, True)
    read = machine.read_disk("PIPELINE_HOME", tmp_path / "file")
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
    read = {bundle.setting: bundle for bundle in machine.read_bundles()}
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
    no_proxy: str, severity: Severity, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    assert list(machine.check_proxies(machine.read_proxies())) == []
    monkeypatch.setenv("HTTPS_PROXY", "http://user:word@proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    read = machine.read_proxies()
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
        read = {port.number: port for port in machine.read_ports(replace(settings, ports=ports))}
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
    (found,) = machine.check_ports([Port(1, "A", None), Port(2, "B", " by java", ours=True)])
    assert found == ok("ports", "1 free, 1 held by this stack")


def control_groups(tmp_path: Path, memberships: str, mounts: dict[str, str], written: dict[str, str]) -> Path:
    """A process's folder in /proc. mounts: name of a mounted folder -> "kind options"; written: file -> text."""
    process = tmp_path / "self"
    process.mkdir()
    (process / "cgroup").write_text(memberships)
    lines = [
        f"1 0 0:1 / {tmp_path / name} rw - {kind.split()[0]} none {kind.split()[1]}" for name, kind in mounts.items()
    ]
    (process / "mountinfo").write_text("9 0 0:2 / / rw shared:1 - ext4 /dev/sda rw\n" + "\n".join(lines) + "\n")
    for name, text in written.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return process


def test_limits_of_control_groups_version_2_hold_for_all_below_them(tmp_path: Path) -> None:
    process = control_groups(
        tmp_path,
        "0::/outer/inner\n",
        {"c": "cgroup2 rw"},
        {
            "c/outer/memory.max": f"{4 * GIB}\n",
            "c/outer/memory.current": f"{3 * GIB}\n",
            "c/outer/memory.stat": f"anon 5\nactive_file {GIB}\ninactive_file {GIB}\n",
            "c/outer/inner/memory.max": "max\n",
            "c/outer/inner/memory.current": "5\n",
            "c/outer/inner/memory.stat": "anon 5\n",
            "c/outer/inner/cpu.max": "150000 100000\n",
            "c/outer/cpu.max": "max 100000\n",
        },
    )
    assert resources.memory_limits(process) == [3 * GIB]
    assert resources.cpu_limits(process) == [1.5]


def test_limits_of_control_groups_version_1(tmp_path: Path) -> None:
    """As in a container that sees its path on the host, while its own group is what is mounted."""
    process = control_groups(
        tmp_path,
        "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n",
        {"m": "cgroup rw,memory", "c": "cgroup rw,cpu,cpuacct", "u": "cgroup2 rw"},
        {
            "m/memory.limit_in_bytes": f"{2 * GIB}\n",
            "m/memory.usage_in_bytes": f"{GIB}\n",
            "m/memory.stat": f"active_file 7\ntotal_active_file 0\ntotal_inactive_file {MIB}\n",
            "c/cpu.cfs_quota_us": "50000\n",
            "c/cpu.cfs_period_us": "100000\n",
        },
    )
    assert resources.memory_limits(process) == [GIB + MIB]
    assert resources.cpu_limits(process) == [0.5]


def test_without_limits_the_machine_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resources.memory_limits(tmp_path) == resources.cpu_limits(tmp_path) == []
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=8 * GIB))
    for limits, expected in (
        ([], Memory(8 * GIB, False)),
        ([9 * GIB], Memory(8 * GIB, False)),
        ([GIB], Memory(GIB, True)),
    ):
        monkeypatch.setattr(resources, "memory_limits", lambda limits=limits: limits)
        assert resources.memory() == expected
    with pytest.raises(TerminalError, match=r"its container's limit leaves 1\.0 GiB"):
        preflight.check_memory()


# Files


def test_secrets_that_others_may_read(settings: Settings) -> None:
    made = credentials.ensure(settings.secrets)
    settings.home.chmod(0o700)
    assert severities(files.check_modes(files.read_modes(settings), settings.home)) == [OK]
    made.admin_key.chmod(0o640)
    settings.secrets.chmod(0o755)
    found = list(files.check_modes(files.read_modes(settings), settings.home))
    assert severities(found) == [PROBLEM, PROBLEM]
    assert [finding.remedy for finding in found] == [f"chmod 700 {settings.secrets}", f"chmod 600 {made.admin_key}"]
    for finding in found:
        assert subprocess.run(finding.remedy.split(), check=False).returncode == 0
    assert severities(files.check_modes(files.read_modes(settings), settings.home)) == [OK]


def test_nothing_is_said_of_secrets_that_are_not_made(settings: Settings) -> None:
    assert list(files.check_modes(files.read_modes(settings), settings.home)) == []
    assert files.check_credentials(settings) == (None, [])


def test_damaged_passwords_are_told(settings: Settings) -> None:
    credentials.ensure(settings.secrets)
    (settings.secrets / "words.json").write_text("{")
    known, found = files.check_credentials(settings)
    assert known is None
    assert severities(found) == [PROBLEM]


NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("days", "severity"), [(-1, PROBLEM), (0, PROBLEM), (1, WARNING), (30, WARNING), (31, OK), (None, PROBLEM)]
)
def test_the_end_of_a_certificate(days: int | None, severity: Severity) -> None:
    end = None if days is None else NOW + dt.timedelta(days=days)
    far = NOW + dt.timedelta(days=300)
    (found,) = files.check_certificates({"ca.pem": far, "nifi.pem": end}, NOW, Path("/s"))
    assert severities([found]) == [severity]
    assert ("/s/nifi.pem" in found.what) == (severity is not OK)
    assert ("./scripts/run" in found.remedy) == (severity is not OK)


def test_files_of_the_cache_against_the_lock(tmp_path: Path) -> None:
    def artifact(name: str, content: bytes) -> Artifact:
        return Artifact("kafka", "lib", f"org/{name}", hashlib.sha256(content).hexdigest(), len(content))

    artifacts = [artifact(name, name.encode()) for name in ("whole", "gone", "short", "other")]
    for made, content in zip(artifacts, (b"whole", None, b"sho", b"OTHER"), strict=True):
        if content is not None:
            path = fetch.place(tmp_path, made)
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
    found = fetch.differences(artifacts, tmp_path, time.monotonic() + 60)
    assert [path.name for path in found.missing] == ["gone"]
    assert [path.name for path in found.wrong] == ["short", "other"]
    late = fetch.differences(artifacts, tmp_path, time.monotonic() - 1)
    assert ([path.name for path in late.wrong], [path.name for path in late.unread]) == (["short"], ["whole", "other"])


def test_what_differs_from_the_lock_is_told_with_what_to_remove() -> None:
    cache, jar = Path("/cache"), Path("/cache/files/00ff/a.jar")
    clean = Differences([], [], [])
    wrong = files.Engines(3, replace(clean, wrong=[jar]), [])
    (found,) = files.check_engines(wrong, cache)
    assert severities([found]) == [PROBLEM]
    assert "a.jar" in found.what
    assert "rm -r /cache/files/00ff /cache/installs;" in found.remedy
    (found,) = files.check_engines(files.Engines(3, clean, [Path("/cache/installs/x/java")]), cache)
    assert severities([found]) == [PROBLEM]
    (found,) = files.check_engines(files.Engines(3, replace(clean, missing=[jar]), None), cache)
    assert found == ok("engines' files", "2 of 3 are fetched; ./scripts/run brings the rest")
    (found,) = files.check_engines(files.Engines(3, replace(clean, unread=[jar]), []), cache)
    assert "2 of 3" in found.what


# Engines


@pytest.mark.parametrize(
    ("process", "answer", "severity", "passing", "words"),
    [
        (Process("RUNNING", 900, 0), "version 1", OK, False, "nifi: version 1"),
        (Process("STOPPED", 0, 0), OSError("refused"), PROBLEM, False, "nifi is stopped"),
        (Process("STOPPED", 0, 0), "somebody else answers", PROBLEM, False, "nifi is stopped"),
        (Process("FATAL", 0, 0), OSError("refused"), PROBLEM, False, "given up"),
        (Process("BACKOFF", 0, 0), OSError("refused"), PROBLEM, False, "ends right after"),
        (Process("RUNNING", 12, 0), OSError("refused\n"), PROBLEM, True, "12 s ago and is not ready yet: refused"),
        (Process("RUNNING", 900, 0), OSError("refused"), PROBLEM, False, "nifi does not answer: refused"),
        (None, OSError(), PROBLEM, False, "nifi does not answer: OSError"),
    ],
)
def test_the_health_of_an_engine(
    process: Process | None, answer: str | Exception, severity: Severity, passing: bool, words: str
) -> None:
    found = engines.check_engine("nifi", process, answer)
    assert severities([found]) == [severity]
    assert found.passing is passing
    assert words in found.what


def test_engines_that_outlived_their_supervisor_are_told_until_they_end(settings: Settings) -> None:
    settings.run.mkdir(parents=True)
    (settings.run / "kafka.group").write_text(f"{os.getpgrp()} {boot_id()}")  # a number that came to be ours
    with subprocess.Popen(
        ["sh", "-c", "echo; read forever"],
        start_new_session=True,
        env={**os.environ, "PIPELINE_RUN": str(settings.run)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as left:
        assert left.stdout
        left.stdout.readline()  # it is itself now, no more a copy of this process
        (settings.run / "nifi.group").write_text(f"{left.pid} {boot_id()}")
        found = engines.read_supervised(settings, ["nifi", "kafka"])
        left.kill()
    assert found == Supervised(False, {}, ["nifi"])
    assert severities(engines.check_supervised(found, set_up=True)) == [PROBLEM]
    assert engines.read_supervised(settings, ["nifi"]).leftovers == []


def test_a_stack_that_is_down_is_no_problem() -> None:
    for set_up in (True, False):
        assert severities(engines.check_supervised(Supervised(False, {}, []), set_up)) == [OK]


def test_engines_that_ended_by_themselves(tmp_path: Path) -> None:
    log = tmp_path / "supervisor.log"
    log.write_text(
        "2026-06-01 09:00:00,000 WARN exited: kafka (exit status 1; not expected)\n"
        "2026-06-01 11:30:00,000 INFO stopped: nifi (exit status 143)\n"
        "2026-06-01 11:40:00,123 WARN exited: nifi (terminated by SIGKILL; not expected)\n"
        "2026-06-01 11:50:00,123 WARN exited: nifi (exit status 1; not expected)\n"
    )
    exits = engines.read_exits(log, dt.datetime(2026, 6, 1, 12))
    assert exits == {"nifi": ["at 11:40:00, terminated by SIGKILL", "at 11:50:00, exit status 1"]}
    (found,) = engines.check_exits(exits)
    assert severities([found]) == [WARNING]
    assert "nifi ended by itself 2 times" in found.what
    assert "at 11:50:00, exit status 1" in found.what
    assert engines.read_exits(tmp_path / "none", dt.datetime.now()) == {}


# The flow


def canvas(**changed: Any) -> Canvas:
    queue, processor = Queue("page", 0, 0, False), Processor("Pull run", "RUNNING", "VALID", [])
    return Canvas([replace(queue, **changed.pop("queue", {}))], [replace(processor, **changed)], [])


@pytest.mark.parametrize(
    ("seen", "severity", "words"),
    [
        (None, PROBLEM, "not on the canvas"),
        (canvas(), OK, "1 processors are valid and running"),
        (canvas(state="STOPPED"), PROBLEM, "'Pull run' is stopped"),
        (canvas(state="DISABLED"), PROBLEM, "'Pull run' is disabled"),
        (canvas(validation="INVALID", errors=["no URL"]), PROBLEM, "'Pull run' is invalid: no URL"),
        (canvas(validation="VALIDATING"), PROBLEM, "being validated"),
        (canvas(queue={"queued": 3, "percent": 75}), OK, "3 FlowFiles in its queues"),
        (canvas(queue={"queued": 4, "percent": 100}), WARNING, "'page' is 100 % full with 4 FlowFiles"),
        (canvas(queue={"queued": 1, "percent": 1, "retries": True}), WARNING, "1 FlowFiles wait in 'page'"),
    ],
)
def test_the_flow(seen: Canvas | None, severity: Severity, words: str) -> None:
    found = list(flow.check(seen))
    assert severity in severities(found)
    assert [finding.what for finding in found if words in finding.what]
    assert [finding for finding in found if finding.severity is not OK] == [
        finding for finding in found if words in finding.what and severity is not OK
    ]


def test_bulletins_are_few_and_harmless() -> None:
    seen = replace(
        canvas(),
        bulletins=[
            *[Bulletin("22:01:00 UTC", "ERROR", "old", "x")] * 5,
            Bulletin("22:02:00 UTC", "INFO", "Fetch page", "fine"),
            Bulletin("22:03:00 UTC", "WARNING", "Fetch page", "said \x1b]0;evil\x07" + "y" * 5000),
        ],
    )
    told = [finding for finding in flow.check(seen) if finding.severity is WARNING]
    assert len(told) == 4
    assert told[-1].what.startswith("22:03:00 UTC WARNING from Fetch page: said ]0;evil yyy")
    assert all(len(finding.what) <= 240 and finding.what.isprintable() for finding in told)


# Topics


@pytest.mark.parametrize(
    ("before", "after", "silent", "severity", "words"),
    [
        (Position(0, 9, 9), Position(0, 9, 9), 900, OK, "every frame"),
        (Position(0, 9, 3), Position(0, 9, 5), 900, OK, "4 frames behind, and moving"),
        (Position(0, 9, None), Position(0, 9, None), 2, WARNING, "9 frames behind, and none consumed in 3 s"),
        (Position(0, 9, 3), Position(0, 9, 3), 61, PROBLEM, "stood still for 61 s"),
        (Position(5, 9, 3), Position(5, 9, 9), 2, OK, "every frame"),
        (Position(5, 9, 3), Position(5, 9, 3), 2, PROBLEM, "removed 2 frames"),
        (Position(5, 9, None), Position(5, 9, 9), 2, OK, "every frame"),
    ],
)
def test_lag(before: Position, after: Position, silent: float, severity: Severity, words: str) -> None:
    found = list(topics.check_progress(Progress({0: before}, {0: after}, 3.0, silent)))
    assert severity in severities(found)
    assert any(words in finding.what for finding in found)


def test_a_consumer_that_is_behind_is_watched_until_it_moves(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = iter([2, 2, 4, 9])
    monkeypatch.setattr(hops, "positions", lambda _: {0: Position(0, 9, next(committed))})
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    read = topics.read_progress(settings)
    assert (read.before[0].committed, read.after[0].committed) == (2, 4)
    assert topics.read_progress(settings).after[0].committed == 9
    assert next(committed, None) is None, "one that is not behind is looked at once"


def test_dead_letters() -> None:
    assert topics.check_dead_letters(DeadLetters(0, 0, {})).severity is OK
    found = topics.check_dead_letters(DeadLetters(1234, 200, {"not_email:email": 150, "x\x1b": 50}))
    assert severities([found]) == [WARNING]
    assert found.what.startswith("1,234 in user_data_topic.dlq; of the last 200: 150 not_email:email, 50 x")
    assert found.what.isprintable()
    assert topics.check_dead_letters(DeadLetters(7, 0, {})).what == "7 in user_data_topic.dlq"


def test_dead_letters_are_counted_while_the_registry_is_away(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def read(configured: Settings, topic: str, last: int) -> Iterator[Any]:
        asked.append(last)
        yield SimpleNamespace(value=lambda: bytes([0, 0, 0, 0, 1, 2]))

    monkeypatch.setattr(hops, "length", lambda configured, topic: 4321)
    monkeypatch.setattr(hops, "read", read)
    assert topics.read_dead_letters(settings) == DeadLetters(4321, 0, {})
    assert asked == [200], "however many there are"


# Everything together


def test_what_hangs_or_breaks_hides_nothing_else() -> None:
    never = threading.Event()

    def silent() -> list[Finding]:
        never.wait(30)
        return []

    def hangs() -> Iterator[Finding]:
        yield ok("engines", "kafka: fine")
        never.wait(30)

    def breaks() -> Iterator[Finding]:
        yield ok("lag", "so far")
        raise ZeroDivisionError

    begun = time.monotonic()
    checks = [
        Check("engines", "nifi", silent),
        Check("engines", "kafka", hangs),
        Check("lag", "lag", breaks),
        Check("disk", "disk", lambda: [ok("disk", "room")]),
    ]
    found = examine.gather(checks, begun + 0.3)
    never.set()
    assert time.monotonic() - begun < 2
    assert [(finding.severity, finding.what) for finding in found] == [
        (PROBLEM, "nifi: no answer in time"),
        (OK, "kafka: fine"),
        (PROBLEM, "kafka: what it holds was not read in time"),
        (OK, "so far"),
        (PROBLEM, "cannot be examined: ZeroDivisionError: "),
        (OK, "room"),
    ]
    assert found[0].remedy == "./scripts/pipeline logs nifi"


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with room, whose network is nobody's business here."""
    monkeypatch.setattr(resources, "memory", lambda: Memory(20 * GIB, False))
    monkeypatch.setattr(resources, "cores", lambda: 4.0)
    monkeypatch.setattr(machine, "read_bundles", lambda: [])
    monkeypatch.setattr(machine, "read_proxies", lambda: Proxies({}, False))
    monkeypatch.setattr(machine, "read_disk", lambda variable, folder: disk(str(folder)))
    monkeypatch.setattr(machine, "check_python", lambda *arguments: [ok("Python", "fine")])


@pytest.mark.usefixtures("roomy")
def test_a_machine_on_which_nothing_is_set_up_is_fine_and_stays_as_it_is(settings: Settings) -> None:
    found = examine.examine(settings)
    assert exit_code(found, later=75) == 0, found
    assert ok("engines", "nothing is set up yet; ./scripts/run does it") in found
    assert not settings.home.exists()
    assert not settings.cache.exists()


@pytest.mark.usefixtures("roomy")
def test_a_half_dead_stack_is_told_in_time(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka takes connections and says nothing, the registry is closed, the rest is stopped."""
    monkeypatch.setattr(examine, "_PATIENCE", 1.5)
    processes = dict.fromkeys(engines.askers(settings, None), Process("STOPPED", 0, 0))
    processes |= dict.fromkeys(("kafka", "registry", "cassandra"), Process("RUNNING", 900, GIB))
    monkeypatch.setattr(engines, "read_supervised", lambda *arguments: Supervised(True, processes, []))
    credentials.ensure(settings.secrets)
    settings.home.chmod(0o700)
    with socket.create_server(("127.0.0.1", settings.port(kafka.PORT))):
        begun = time.monotonic()
        found = examine.examine(settings)
        took = time.monotonic() - begun
    assert took < 4
    told = {finding.what for finding in found if finding.area == "engines"}
    assert told >= {"nifi is stopped", "source is stopped", "consumer is stopped", "kafka: no answer in time"}
    assert any(what.startswith("registry does not answer: Connection refused") for what in told), told
    assert any(what.startswith("cassandra does not answer: ") for what in told), told
    assert not [finding for finding in found if finding.area in ("flow", "lag", "dead letters")]
    assert exit_code(found, later=75) == 1
    assert severities(found).count(OK) >= 5


def test_the_command_prints_each_finding_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    found = [ok("memory", "much"), problem("ports", "[taken]", "free it"), warning("ports", "soon", "look")]
    monkeypatch.setattr(examine, "examine", lambda configured: found)
    with pytest.raises(typer.Exit) as ended:
        command.doctor(console.Output.text)
    assert ended.value.exit_code == 1
    assert capsys.readouterr().out.splitlines() == [
        "memory",
        "  ok      much",
        "ports",
        "  problem [taken]",
        "          next: free it",
        "  warning soon",
        "          next: look",
        "",
        "1 problem",
        "1 warning",
    ]
    with pytest.raises(typer.Exit):
        command.doctor(console.Output.json)
    read = json.loads(capsys.readouterr().out)
    assert read[1] == {
        "area": "ports",
        "severity": "problem",
        "what": "[taken]",
        "remedy": "free it",
        "passing": False,
    }
    monkeypatch.setattr(examine, "examine", lambda configured: found[:1])
    command.doctor(console.Output.text)  # nothing wrong: no exit code


def test_a_wrong_setting_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    monkeypatch.setenv("PIPELINE_NIFI_PORT", "door")
    with pytest.raises(typer.Exit) as ended:
        command.doctor(console.Output.json)
    assert ended.value.exit_code == 1
    (finding,) = json.loads(capsys.readouterr().out)
    assert (finding["area"], finding["remedy"]) == ("settings", "correct or unset PIPELINE_NIFI_PORT")
