"""Everything that the doctor looks at, in the order of reading."""

import datetime
import logging
import sys
import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from nifi_flows.errors import TerminalError
from nifi_flows.pipeline import Pipeline
from scripts.bootstrap import LOCK
from scripts.doctor import engines, files, flow, machine, topics
from scripts.doctor.check import Chain, Check, findings, judged
from scripts.doctor.diagnosis import Diagnosis, failed
from scripts.observe import canvas, consumer, records
from scripts.observe import engines as running
from scripts.observe import files as disk
from scripts.observe import machine as readings
from scripts.observe.engines import Process, Supervised
from scripts.observe.gather import ReadStep, Unread, gather
from scripts.stack import credentials, install, lock
from scripts.stack import machine as resources
from scripts.stack.credentials import Credentials
from scripts.stack.engine import Engine
from scripts.stack.engines import describe
from scripts.stack.settings import Settings
from scripts.stack.stack import nifi_of
from scripts.stack.supervise import WAKE

_PATIENCE = 8.0  # seconds for all readings together
_SUPERVISOR = 3.0  # seconds of it for the supervisor, without which the other readings say less
_ANSWER = 4.0  # seconds that an engine gets for an answer
_WATCHED = 3.0  # seconds that a consumer which is behind is watched
_LETTERS = 200  # the newest dead letters, which are read for their reasons
_RECENT = datetime.timedelta(hours=1)  # in which an engine ended by itself

_AREAS = (
    *("Python", "machine", "memory", "disk", "network", "ports", "engines' files", "secrets"),
    *("engines", "flow", "lag", "lane", "dead letters"),
)


def examine(settings: Settings, pipeline: Pipeline) -> list[Diagnosis]:
    """Everything that can be said of the machine and of the stack now, in the order of reading; changes nothing."""
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)  # what they meet becomes a finding
    logging.getLogger("cassandra").setLevel(logging.CRITICAL)
    deadline = time.monotonic() + _PATIENCE
    described = describe(settings)
    login, wrong = _credentials(settings)
    found, running_findings = _supervised(settings, [engine.name for engine in described])
    chains = [*_machine(settings, found), *_files(settings, deadline)]
    if found.running:
        chains += _stack(settings, login, pipeline, found, described)
    listed = [*findings(chains, deadline - time.monotonic()), *wrong, *running_findings]
    return sorted(listed, key=lambda finding: _AREAS.index(finding.area))


def _credentials(settings: Settings) -> tuple[Credentials | None, list[Diagnosis]]:
    """The credentials to ask the engines with, None when there are none, and what is wrong with the passwords."""
    try:
        return credentials.load(settings.secrets), []
    except TerminalError as error:
        return None, [failed("secrets", error)]


def _supervised(settings: Settings, names: Iterable[str]) -> tuple[Supervised, list[Diagnosis]]:
    """What the supervisor has; one that is there and says nothing has engines that may still be asked."""
    set_up = (settings.conf / "supervisord.conf").exists()
    asked = ReadStep("supervisor", lambda: running.supervised(settings, names))
    check = Check("engines", asked, partial(engines.check_supervised, set_up=set_up), late=WAKE)
    read = gather([[asked]], _SUPERVISOR)
    found = read.of(asked)
    return Supervised(running=True) if isinstance(found, Unread) else found, judged([[check]], read)


def _machine(settings: Settings, found: Supervised) -> list[Chain]:
    up = found.running or bool(found.leftovers)
    used = sum(process.memory for process in found.processes.values()) if up else None
    folders = (("PIPELINE_HOME", settings.home), ("PIPELINE_CACHE", settings.cache))
    version = sys.version_info[:2]
    checks: list[Check[Any]] = [
        Check("machine", ReadStep("platform", install.require_machine), lambda _: ()),
        Check(
            "Python",
            ReadStep("packages", readings.packages),
            lambda packages: machine.check_python(version, Path(LOCK).read_text(), packages),
        ),
        Check("memory", ReadStep("memory", resources.memory), lambda memory: [machine.check_memory(memory, used)]),
        Check("memory", ReadStep("CPUs", resources.cores), lambda cores: [machine.check_cores(cores)]),
        Check(
            "disk",
            ReadStep("disk", lambda: [readings.read_disk(*folder) for folder in folders]),
            partial(machine.check_disks, running=up),
        ),
        Check("network", ReadStep("proxies", readings.read_proxies), machine.check_proxies),
        Check("network", ReadStep("CA bundles", readings.read_bundles), machine.check_bundles),
        Check("ports", ReadStep("ports", lambda: readings.read_ports(settings)), machine.check_ports),
    ]
    return [[check] for check in checks]


def _files(settings: Settings, deadline: float) -> list[Chain]:
    until = deadline - 2  # one more file may be under way then
    fetched = ReadStep("cache", lambda: disk.engine_files(lock.load(), settings.cache, until))
    modes = ReadStep("secrets", lambda: disk.modes(settings))
    ends = ReadStep("certificates", lambda: disk.certificates(settings))
    now = datetime.datetime.now(datetime.UTC)
    return [
        [Check("engines' files", fetched, partial(files.check_engines, cache=settings.cache))],
        [Check("secrets", modes, partial(files.check_modes, home=settings.home))],
        [Check("secrets", ends, partial(files.check_certificates, now=now, folder=settings.secrets))],
    ]


def _stack(
    settings: Settings,
    login: Credentials | None,
    pipeline: Pipeline,
    found: Supervised,
    described: Sequence[Engine],
) -> list[Chain]:
    asks = running.asks(described, login, _ANSWER)
    lag = ReadStep("lag", lambda: consumer.watch(settings, pipeline, _WATCHED, _ANSWER))
    letters = ReadStep("dead letters", lambda: records.summarise_letters(settings, pipeline, _LETTERS))
    behind: dict[str, list[Check[Any]]] = {
        "kafka": [
            Check("lag", lag, partial(topics.check_progress, pipeline=pipeline)),
            Check("dead letters", letters, partial(topics.check_dead_letters, pipeline=pipeline)),
        ],
    }
    if login:
        shown = ReadStep("flow", partial(canvas.read, nifi_of(settings, login), pipeline))
        behind["nifi"] = [Check("flow", shown, partial(flow.check_flow, pipeline=pipeline))]
    chains: list[Chain] = [
        [_answer(engine, asks[engine.name], found.processes.get(engine.name)), *behind.get(engine.name, [])]
        for engine in described
    ]
    since = datetime.datetime.now() - _RECENT
    ended = ReadStep("supervisor's log", lambda: running.exits(settings, since))
    restarted = ReadStep("watch's log", lambda: running.restarts(settings, since))
    ended_or_hung: list[Chain] = [
        [Check("engines", ended, engines.check_exits)],
        [Check("engines", restarted, engines.check_restarts)],
    ]
    return [*chains, *ended_or_hung]


def _answer(engine: Engine, asked: ReadStep[str], process: Process | None) -> Check[str]:
    check = partial(engines.check_engine, engine.name, process, optional=engine.optional)
    return Check("engines", asked, lambda answer: [check(answer)], broken=check)
