"""The consumer: `python -m spark_consumer.main`. Starts the stream in a process of its own, and sees that it lives.

Whatever happens to that process, it comes back: one that ends is started again after a pause, one that gives no sign of
life says what its threads wait for and is ended by force. So this process imports nothing of Spark, and only waits.

Ends with 0 after SIGTERM or SIGINT, 2 when somebody must act before the stream can run.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import FrameType

from spark_consumer import processes
from spark_consumer.liveness import Clock, Stream, pause

_log = logging.getLogger("spark_consumer")
_COMMAND = (sys.executable, "-m", "spark_consumer.worker")
_LOOK = 1.0  # seconds from one look at the stream to the next, at most
_HALVINGS = 14  # at most: a batch then is as short as one frame
_ORPHANS = 5.0  # seconds that the JVM of a stream which has ended may take to end, too
_MUST_ACT, _TOO_LONG = 2, 3  # the exit codes by which the stream says that a restart won't help, or shorter batches may


def main() -> int:
    """Runs the stream until a signal ends it or somebody must act; returns the exit code."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    processes.adopt_orphans()
    failures = halvings = doubts = 0
    with _signals() as asked:
        while True:
            stream, code = _run(asked, halvings, doubts)
            if asked.to_stop:
                return 0
            if code == _MUST_ACT:
                _log.warning("the stream is not started again, since that won't help: see the error above")
                return _MUST_ACT
            took_too_long = code == _TOO_LONG or stream.forced
            failures = 1 if stream.steady else failures + 1
            if stream.steady:
                halvings, doubts = halvings if took_too_long else 0, 0
            _log.warning("the stream %s; it is started again in %g s", _how(code), pause(failures))
            if took_too_long and stream.continuous:
                doubts += 1
                _log.warning("it begins with micro-batches, since it took too long in the continuous lane")
            elif took_too_long:
                halvings = min(halvings + 1, _HALVINGS)
                _log.warning("its batches are as long as set, halved %d times, until it ends the next time", halvings)
            if asked.wait(pause(failures)):
                return 0


def _how(code: int) -> str:
    return f"ended with {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"


@dataclass
class _Asked:
    """Whether somebody wants an end. pipe: can be read once a signal has come."""

    pipe: int
    to_stop: bool = False

    def wait(self, seconds: float) -> bool:
        """For so many seconds, or until somebody wants an end; returns whether that is so."""
        deadline = time.monotonic() + seconds
        while not self.to_stop and (left := deadline - time.monotonic()) > 0:
            _readable([self.pipe], left)
        return self.to_stop


@contextlib.contextmanager
def _signals() -> Iterator[_Asked]:
    """SIGTERM and SIGINT ask for an end, and wake whoever waits for the pipe."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    asked = _Asked(reading)

    def note(number: int, _: FrameType | None) -> None:
        asked.to_stop = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, note)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # so that the end of the stream is noticed at once
    yield asked


def _run(asked: _Asked, halvings: int, doubts: int) -> tuple[Stream, int]:
    """Run one process of the stream to its end; returns what was known of it, and its exit code.

    halvings: how often its batches are half as long as set. doubts: as of the worker.
    """
    signs, given = os.pipe()
    os.set_blocking(signs, False)
    try:
        process = subprocess.Popen(
            [*_COMMAND, str(halvings), str(doubts)],
            env={**os.environ, "CONSUMER_SIGNS_FD": str(given), "PYTHONFAULTHANDLER": "1"},
            pass_fds=[given],
            preexec_fn=processes.end_with_parent,
        )
    except (OSError, subprocess.SubprocessError) as error:
        _log.error("the stream can't be started: %s", error)
        os.close(signs)
        return Stream(begun=0), 1
    finally:
        os.close(given)
    _log.info("the stream is started as process %d", process.pid)
    try:
        return _watch(process, signs, asked), process.wait()
    finally:
        _end_orphans()
        os.close(signs)


def _end_orphans() -> None:
    """What the stream leaves, such as its JVM, ends by itself or is ended: the next one needs its memory and port."""
    deadline = time.monotonic() + _ORPHANS
    while left := processes.descendants(os.getpid()):
        if time.monotonic() > deadline:
            processes.kill(left)
        if time.monotonic() > deadline + _ORPHANS:  # the kernel holds it: the next one does without its memory
            _log.warning("processes %s of the stream don't end", left)
            break
        time.sleep(0.05)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _watch(process: subprocess.Popen[bytes], signs: int, asked: _Asked) -> Stream:
    """Until the process has ended, by force if need be."""
    clock = Clock(time.monotonic())
    stream, closed = Stream(begun=clock.now), False
    while process.poll() is None:
        _readable([asked.pipe] if closed else [asked.pipe, signs], _LOOK)
        now = clock.tick(time.monotonic())
        if not closed and (read := _drained(signs)) is not None:
            stream, closed = stream.heard(read, now), not read
            if closed:
                stream = stream.broken(now)
        if asked.to_stop and stream.told is None:
            stream = stream.stopping(now)
            _log.info("the stream is told to end")
            process.terminate()
            processes.go_on(processes.descendants(os.getpid()))
        if (why := stream.overdue(now)) and process.poll() is None:
            stream = replace(stream, forced=True)
            _log.warning("the stream %s: it is ended by force; what its threads wait for follows", why)
            family = processes.descendants(os.getpid())
            processes.dump(family)
            processes.kill([process.pid, *family])
            process.wait()
    return stream


def _readable(files: list[int], seconds: float) -> None:
    """Wait until one of them can be read, for so many seconds at most, and forget which signals have come."""
    ready, _, _ = select.select(files, [], [], seconds)
    if files[0] in ready:
        _drained(files[0])


def _drained(file: int) -> bytes | None:
    """What there is to read at once: b"" at the end of the file, None when there is nothing yet."""
    try:
        return os.read(file, 65_536)
    except BlockingIOError:
        return None


if __name__ == "__main__":
    sys.exit(main())
