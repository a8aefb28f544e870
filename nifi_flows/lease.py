"""One deploy at a time: a lock file with an owner and a lease, which ends with its process or by running out."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import msgspec
import psutil

from nifi_flows.errors import PipelineError, TerminalError, TransientError
from nifi_flows.files import alone, write_private
from nifi_flows.wording import unbroken

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


@dataclass(frozen=True)
class LeaseHolder:
    """What a lock file says. boot: names the boot and the process namespace in which pid means something.

    started: seconds from the boot to the start of the process. since, until: UTC. token: of this one lease.
    """

    owner: str
    purpose: str
    pid: Annotated[int, msgspec.Meta(gt=0, lt=2**31)]
    boot: str
    started: float
    since: _Moment
    until: _Moment
    token: str

    def __str__(self) -> str:
        return unbroken(f"{self.owner} ({self.purpose})")


class LeaseLost(TransientError):
    """Raised when a lease is no longer ours: whoever has it now goes on from what is there."""


class Lease:
    """A lease that this process holds. took_over: from whom and why, None when the lock was free."""

    def __init__(self, path: Path, mine: LeaseHolder, length: timedelta, clock: Callable[[], datetime]) -> None:
        self.took_over: str | None = None
        self._path = path
        self._mine = mine
        self._length = length
        self._clock = clock

    def check(self) -> None:
        """Renew the lease. Raises LeaseLost when it is no longer ours, TerminalError when nothing can be written.

        It is lost when somebody took it over after it had run out, as while this machine slept, or removed the file.
        """
        with alone(self._path):
            found = read(self._path)
            if found is None or found.token != self._mine.token:
                whose = f"{found} has it" if found else f"{self._path} is gone"
                raise LeaseLost(f"the lease for {self._mine.purpose} was lost: {whose}", "try again when it is free")
            self._write()

    def _take(self) -> None:
        with alone(self._path):
            found, now = read(self._path), self._clock()
            why = ended(found, now) if found else None
            if found and why is None:
                raise TransientError(
                    f"{found} holds the lease since {_second(found.since)}, until {_second(found.until)}",
                    f"try again when it is done; should its process {found.pid} hang, end that first",
                )
            if found:
                self.took_over = f"{found}: {why}"
            elif self._path.exists():
                self.took_over = f"nobody: {self._path} held no lease"
            self._write()

    def _release(self) -> None:
        with alone(self._path):
            found = read(self._path)
            if found and found.token == self._mine.token:
                self._path.unlink()

    def _write(self) -> None:
        mine = replace(self._mine, until=self._clock() + self._length)
        write_private(self._path, msgspec.json.format(msgspec.json.encode(mine), indent=1) + b"\n")


@contextmanager
def hold_lease(
    path: Path,
    owner: str,
    purpose: str,
    seconds: float = 60,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[Lease]:
    """Take the lease, renew it every quarter of its seconds, and give it back at the end if it is still ours.

    Raises TransientError when somebody else holds it, TerminalError when the lock file cannot be read or written.
    """
    now = clock()
    pid = os.getpid()
    mine = LeaseHolder(owner, purpose, pid, _boot(), _started(pid) or 0.0, now, now, uuid4().hex)
    lease = Lease(path, mine, timedelta(seconds=seconds), clock)
    lease._take()
    over = threading.Event()

    def renew() -> None:
        while not over.wait(seconds / 4):
            with suppress(PipelineError):  # whoever calls check() is told
                lease.check()

    renewing = threading.Thread(target=renew, name="lease", daemon=True)
    try:
        renewing.start()
        yield lease
    finally:
        over.set()
        renewing.join()
        with suppress(PipelineError):  # it then ends with this process
            lease._release()


def read(path: Path) -> LeaseHolder | None:
    """What a lock file says, None when it is not there or no lease. Raises TerminalError when it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=LeaseHolder)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TerminalError(f"{path} cannot be read: {error.strerror}", "see to its owner") from error
    except (ValueError, RecursionError):
        return None


def ended(holder: LeaseHolder, now: datetime) -> str | None:
    """Why a lease holds no longer, None as long as it does."""
    if holder.boot == _boot():
        started = _started(holder.pid)
        if started is None or abs(started - holder.started) > 2:  # the same number, another process
            return f"its process {holder.pid} is gone"
    return f"its lease ran out at {_second(holder.until)}" if holder.until <= now else None


def _started(pid: int) -> float | None:
    """Seconds from the boot to the start of a living process, whatever is done to the clock; None when it is gone."""
    try:
        process = psutil.Process(pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return None
        return process.create_time() - psutil.boot_time()
    except psutil.NoSuchProcess:
        return None


def _boot() -> str:
    """Containers share the boot of their host, and each counts its processes anew."""
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"


def _second(moment: datetime) -> str:
    return moment.isoformat(" ", "seconds")
