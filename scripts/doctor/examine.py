"""Take every reading at once, each on its own: what is slow or broken hides and delays nothing else."""

import datetime
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from scripts.bootstrap import LOCK
from scripts.doctor import engines, files, flow, machine, topics
from scripts.doctor.engines import Process, Supervised
from scripts.doctor.finding import Finding, failed, problem
from scripts.stack import credentials, lock
from scripts.stack import machine as resources
from scripts.stack.credentials import Credentials
from scripts.stack.settings import Settings
from scripts.stack.stack import nifi_of

_PATIENCE = 8.0  # seconds for all readings together
_SUPERVISOR = 3.0  # seconds of it for the supervisor, which tells what the other readings mean

_AREAS = (
    *("Python", "machine", "memory", "disk", "network", "ports", "engines' files", "secrets"),
    *("engines", "flow", "lag", "dead letters"),
)


@dataclass(frozen=True)
class Check:
    """area: of its findings. subject: how a finding that it takes too long calls it. examine: yields the findings."""

    area: str
    subject: str
    examine: Callable[[], Iterable[Finding]]


def examine(settings: Settings) -> list[Finding]:
    """Everything that can be said of the machine and of the stack now, in the order of reading; changes nothing."""
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)  # what they meet is told as a finding
    deadline = time.monotonic() + _PATIENCE
    known, wrong = files.check_credentials(settings)
    asked = engines.askers(settings, known)
    set_up = (settings.conf / "supervisord.conf").exists()
    supervised: list[Supervised] = []

    def supervisor() -> Iterator[Finding]:
        supervised.append(engines.read_supervised(settings, asked))
        yield from engines.check_supervised(supervised[0], set_up)

    told = gather([Check("engines", "supervisor", supervisor)], time.monotonic() + _SUPERVISOR)
    # A supervisor that is there and says nothing has engines that may still be asked.
    found = supervised[0] if supervised else Supervised(True, {}, [])
    checks = [*_machine(settings, found), *_files(settings, deadline)]
    if found.running:
        checks += _stack(settings, known, found, asked)
    findings = [*gather(checks, deadline), *wrong, *told]
    return sorted(findings, key=lambda finding: _AREAS.index(finding.area))


def _machine(settings: Settings, found: Supervised) -> list[Check]:
    running = found.running or bool(found.leftovers)
    used = sum(process.memory for process in found.processes.values()) if running else None

    def python() -> Iterator[Finding]:
        yield from machine.check_platform()
        version = sys.version_info[:2]
        yield from machine.check_python(version, Path(LOCK).read_text(), machine.installed_packages())

    def memory() -> Iterator[Finding]:
        yield machine.check_memory(resources.memory(), used)
        yield machine.check_cores(resources.cores())

    def disks() -> Iterator[Finding]:
        named = (("PIPELINE_HOME", settings.home), ("PIPELINE_CACHE", settings.cache))
        yield from machine.check_disks([machine.read_disk(*disk) for disk in named], running)

    def network() -> Iterator[Finding]:
        yield from machine.check_proxies(machine.read_proxies())
        yield from machine.check_bundles(machine.read_bundles())

    return [
        Check("Python", "packages", python),
        Check("memory", "memory", memory),
        Check("disk", "disk", disks),
        Check("network", "CA bundles", network),
        Check("ports", "ports", lambda: machine.check_ports(machine.read_ports(settings))),
    ]


def _files(settings: Settings, deadline: float) -> list[Check]:
    def secrets() -> Iterator[Finding]:
        yield from files.check_modes(files.read_modes(settings), settings.home)
        if (settings.secrets / "words.json").exists():
            now = datetime.datetime.now(datetime.UTC)
            yield from files.check_certificates(credentials.ends(settings.secrets), now, settings.secrets)

    def fetched() -> Iterator[Finding]:
        until = deadline - 2  # one more file may be under way then
        yield from files.check_engines(files.read_engines(lock.load(), settings.cache, until), settings.cache)

    return [Check("engines' files", "cache", fetched), Check("secrets", "secrets", secrets)]


def _stack(
    settings: Settings, known: Credentials | None, found: Supervised, asked: dict[str, Callable[[], str]]
) -> list[Check]:
    def nifi() -> Iterator[Finding]:
        if known:
            yield from flow.check(flow.read(nifi_of(settings, known)))

    def lag() -> Iterator[Finding]:
        yield from topics.check_progress(topics.read_progress(settings))

    def dead_letters() -> Iterator[Finding]:
        yield topics.check_dead_letters(topics.read_dead_letters(settings))

    def exits() -> Iterator[Finding]:
        log = settings.logs / "supervisor.log"
        yield from engines.check_exits(engines.read_exits(log, datetime.datetime.now()))

    then = {
        "nifi": [Check("flow", "flow", nifi)],
        "kafka": [Check("lag", "lag", lag), Check("dead letters", "dead letters", dead_letters)],
    }
    checks = [
        Check("engines", name, partial(_engine, name, found.processes.get(name), ask, then.get(name, [])))
        for name, ask in asked.items()
    ]
    return [*checks, Check("engines", "supervisor", exits)]


def _engine(name: str, process: Process | None, ask: Callable[[], str], then: Sequence[Check]) -> Iterator[Finding]:
    """Ask an engine; what is read from it is read only when it answers: one that is down is told once."""
    answer: str | Exception
    try:
        answer = ask()
    except Exception as error:  # noqa: BLE001 - whatever a client raises is the reason to tell
        answer = error
    yield engines.check_engine(name, process, answer)
    if isinstance(answer, str):
        for check in then:
            yield from _guarded(check)


def _guarded(check: Check) -> Iterator[Finding]:
    try:
        yield from check.examine()
    except Exception as error:  # noqa: BLE001 - a reading that fails is a finding, whatever fails in it
        yield failed(check.area, error)


def gather(checks: Sequence[Check], deadline: float) -> list[Finding]:
    """Run the checks at once and return their findings in the order of the checks.

    deadline: of time.monotonic; a check that is not done by then is left behind with a finding that says so.
    """
    found: list[list[Finding]] = [[] for _ in checks]

    def run(check: Check, into: list[Finding]) -> None:
        for finding in _guarded(check):
            into.append(finding)  # at once: of a check that is left behind, what it has found counts

    # Daemons: nobody waits at the end for one that an engine keeps waiting.
    threads = [
        threading.Thread(target=run, args=(check, into), daemon=True) for check, into in zip(checks, found, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    findings: list[Finding] = []
    for check, into, thread in zip(checks, found, threads, strict=True):
        late = thread.is_alive()
        findings += into
        if late:
            findings.append(_late(check, answered=bool(into)))
    return findings


def _late(check: Check, answered: bool) -> Finding:
    what = "what it holds was not read in time" if answered else "no answer in time"
    remedy = f"./scripts/pipeline logs {check.subject}" if check.area == "engines" else "ask again"
    return problem(check.area, f"{check.subject}: {what}", remedy)
