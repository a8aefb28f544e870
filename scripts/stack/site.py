"""This machine as the place where a flow is deployed to: its NiFi's processors, its registry, its topics."""

import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import requests

from nifi_flows import canvas, connection
from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.pipeline import USERS, subject
from nifi_flows.version import Version, made_at
from nifi_processors import bundle
from scripts.stack import hops
from scripts.stack.credentials import Credentials
from scripts.stack.engines import nifi, registry
from scripts.stack.settings import Settings
from scripts.stack.stack import nifi_of
from scripts.stack.supervise import Supervisor

_TOPICS = {made.contract.stem: topic for topic, made in USERS.topics.items()}
_RESTART = 300.0  # seconds that NiFi may take to answer again
_ANSWER = 5.0  # seconds that it gets for one
_SAVED = 2.0  # seconds in which NiFi writes down what was changed last; what runs counts as stopped before that
_RECORD = 20.0  # seconds in which a record should have passed


class LocalSite:
    """See `deploy.Site`."""

    def __init__(self, settings: Settings, credentials: Credentials) -> None:
        self._settings = settings
        self._credentials = credentials
        self._supervisor = Supervisor(settings)

    def connected(self) -> AbstractContextManager[None]:
        return connection.connected(nifi_of(self._settings, self._credentials))

    def awake(self, patience: float) -> None:
        self._supervisor.start_engine("nifi")
        begun = time.monotonic()
        while True:
            try:
                nifi.ask(self._settings, self._credentials, _ANSWER)
                return
            except (TransientError, requests.RequestException) as error:
                if _certificate_refused(error):
                    raise TerminalError(
                        f"NiFi and this stack do not accept each other's certificates: {error}",
                        "./scripts/pipeline doctor looks at ours; another NiFi may listen there",
                    ) from error
                waited = time.monotonic() - begun
                self._supervisor.restart_hung("nifi", waited, nifi.HANGS)
                if waited > patience:
                    raise TransientError(
                        f"NiFi does not answer after {patience:.0f} s: {error}",
                        "./scripts/pipeline logs nifi",
                    ) from error
            time.sleep(0.3)

    def loaded(self) -> str | None:
        place = nifi.extensions(self._settings)
        try:
            placed = max(place.lstat().st_mtime, made_at(place))
        except OSError:
            return None
        started = time.time() - self._supervisor.uptime("nifi")
        return place.resolve().name if int(placed) <= started + 1 else None

    def load(self, version: Version) -> None:
        place(self._settings, version)
        time.sleep(_SAVED)
        self._supervisor.restart_engine("nifi")
        self.awake(_RESTART)

    def unregistered(self, schemas: Mapping[str, str]) -> list[str]:
        missing = []
        for name, schema in schemas.items():
            if not registry.registered(self._settings, _subject(name), schema):
                registry.check_compatible(self._settings, _subject(name), schema)
                missing.append(name)
        return missing

    def register(self, schemas: Mapping[str, str]) -> None:
        for name, schema in schemas.items():
            registry.register(self._settings, _subject(name), schema)

    def watch(self, group: str) -> Callable[[Callable[[str], None]], str | None]:
        told = max(canvas.complaints(group), default=0)
        state, before = hops.flow(USERS.name), self._pages()
        under_way = sum(state.queued.values())  # these pages may have passed already what is new

        def wait(report: Callable[[str], None]) -> str | None:
            deadline = time.monotonic() + _RECORD
            while time.monotonic() < deadline:
                pages, now = self._pages(), hops.flow(USERS.name)
                if before is not None and pages is not None and pages > before + under_way:
                    report("verified: records flow")
                    return None
                if hops.at_rest(now):
                    report("verified: the pull run is finished, so nothing has to flow")
                    return None
                time.sleep(0.3)
            for number, complaint in canvas.complaints(group).items():
                if number > told:
                    return f"no record passed in {_RECORD:.0f} s: {' '.join(complaint.split())[:300]}"
            if before is None or pages is None:
                return "whether records pass cannot be told: Kafka does not answer"
            if pages == before and not now.queued and (asked := _handed_out(state.cursor, now.cursor)) > 1:
                return f"no record passed in {_RECORD:.0f} s: {asked} pages were asked for, and nothing is left of them"
            report(f"no record passed in {_RECORD:.0f} s, and nothing complains: the source may give none")
            return None

        return wait

    def _pages(self) -> int | None:
        """Pages that were published so far, None when Kafka does not tell."""
        try:
            return hops.length(self._settings, USERS.pages)
        except TransientError:
            return None


def _handed_out(before: hops.Cursor | None, now: hops.Cursor | None) -> int:
    """How many pages of one pull run the flow has begun with from one moment to another."""
    if before is None or now is None or before.run != now.run:
        return 0
    return now.next_page - before.next_page


def _certificate_refused(error: Exception) -> bool:
    """As opposed to a handshake that merely breaks off, as when NiFi starts or stops."""
    if isinstance(error.__cause__, requests.exceptions.SSLError):
        return "certificate" in str(error.__cause__).lower()
    return isinstance(error, requests.HTTPError) and error.response.status_code in (401, 403)


def place(settings: Settings, version: Version) -> None:
    """Put a version's processors where NiFi looks for them when it starts."""
    link = nifi.extensions(settings)
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    if not link.is_symlink():  # stacks that are older than stored versions have a folder there
        shutil.rmtree(link, ignore_errors=True)
    fresh.symlink_to(os.path.relpath(version.processors, link.parent), target_is_directory=True)
    os.replace(fresh, link)


def placed(settings: Settings) -> bool:
    """Whether NiFi has any processors to load."""
    return bundle.stamp(Path(nifi.extensions(settings))) is not None


def _subject(schema: str) -> str:
    if schema not in _TOPICS:
        raise TerminalError(f"no topic takes {schema}.avsc", f"the flow has schemas for {', '.join(sorted(_TOPICS))}")
    return subject(_TOPICS[schema])
