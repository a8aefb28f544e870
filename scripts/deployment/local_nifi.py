"""The NiFi of this machine: how it gets its processors, its restarts, and the schemas beside it."""

import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import requests

from nifi_flows import bundle, connection
from nifi_flows.errors import TerminalError, TransientError
from nifi_flows.host import Report
from nifi_flows.pipeline import Pipeline
from nifi_flows.version import Version, made_at
from scripts.deployment import watch
from scripts.deployment.context import Context
from scripts.stack import credentials, schema_registry
from scripts.stack.credentials import Credentials
from scripts.stack.engines import nifi
from scripts.stack.settings import Settings
from scripts.stack.stack import nifi_of
from scripts.stack.supervise import Supervisor
from spark_consumer.names import subject

_RESTART = 300.0  # seconds that NiFi may take to answer again
_ANSWER = 5.0  # seconds that it gets for one
_SAVED = 2.0  # seconds in which NiFi writes down what was changed last; what runs counts as stopped before that
_PAUSE = 0.3  # seconds from one question to the next


class LocalNiFi:
    """See `host.NiFiHost`."""

    def __init__(self, settings: Settings, pipeline: Pipeline, credentials: Credentials) -> None:
        self._settings = settings
        self._pipeline = pipeline
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
                if certificate_refused(error):
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
            time.sleep(_PAUSE)

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
            if not schema_registry.registered(self._settings, self._subject(name), schema):
                schema_registry.check_compatible(self._settings, self._subject(name), schema)
                missing.append(name)
        return missing

    def register(self, schemas: Mapping[str, str]) -> None:
        for name, schema in schemas.items():
            schema_registry.register(self._settings, self._subject(name), schema)

    def watch(self, group: str) -> Callable[[Report], str | None]:
        return watch.begin(self._settings, self._pipeline, group)

    def _subject(self, schema: str) -> str:
        topics = {topic.contract.stem: name for name, topic in self._pipeline.topics.items()}
        if schema not in topics:
            raise TerminalError(
                f"no topic takes {schema}.avsc", f"the flow has schemas for {', '.join(sorted(topics))}"
            )
        return subject(topics[schema])


def of(context: Context) -> LocalNiFi:
    """The NiFi of a context's stack. Raises TransientError when the stack has no credentials yet."""
    return LocalNiFi(context.settings, context.pipeline, credentials.require(context.settings.secrets))


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


def certificate_refused(error: Exception) -> bool:
    """As opposed to a handshake that merely breaks off, as when NiFi starts or stops."""
    if isinstance(error.__cause__, requests.exceptions.SSLError):
        return "certificate" in str(error.__cause__).lower()
    return isinstance(error, requests.HTTPError) and error.response.status_code in (401, 403)
