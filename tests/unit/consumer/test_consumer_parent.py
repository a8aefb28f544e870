"""The consumer's parent process, with a stream that is a tiny script."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.bootstrap import ROOT
from scripts.stack.launch import living
from spark_consumer import processes

# The limits, shorter. The stream is the script that follows; each of its lives writes its process id into a file.
_PARENT = """
    import sys
    from spark_consumer import liveness, main, processes

    for name, value in LIMITS.items():
        setattr(liveness if hasattr(liveness, name) else main, name, value)
    processes.DUMP = 0.3
    main._COMMAND = COMMAND
    main.pause = lambda failures: PAUSES[min(failures, len(PAUSES)) - 1]
    sys.exit(main.main())
"""
_STREAM = """
import os, signal, subprocess, sys, time
from pathlib import Path

lives = len(list(Path(".").glob("life-*"))) + 1
Path(f"life-{lives}.part").write_text(str(os.getpid()))
os.rename(f"life-{lives}.part", f"life-{lives}")

def sign(byte):
    os.write(int(os.environ["CONSUMER_SIGNS_FD"]), byte)

"""
# As a JVM: it outlives who started it, and says on SIGQUIT what its threads wait for. What is run in the background
# ignores that, and a shell can't undo it for itself.
_JVM = """
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
jvm = subprocess.Popen(["/bin/sh", "-c", "trap 'echo the threads of the JVM' QUIT; while :; do sleep 0.02; done"])
Path("jvm.part").write_text(str(jvm.pid))
os.rename("jvm.part", "jvm")
"""


def until(met: Callable[[], Any], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.02)


class Consumer:
    """The parent in a folder of its own, with its log."""

    def __init__(self, folder: Path, stream: str, pauses: list[float], limits: dict[str, float]) -> None:
        script = textwrap.dedent(_PARENT)
        command = [sys.executable, "-c", _STREAM + stream] if stream else ["/nonesuch"]
        values = {"LIMITS": limits, "COMMAND": command, "PAUSES": pauses}
        header = "".join(f"{name} = {value!r}\n" for name, value in values.items())
        self.folder = folder
        self.log = folder / "log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", header + script],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": ROOT},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def said(self) -> str:
        return self.log.read_text()

    def life(self, number: int) -> int:
        """The process id of the stream's n-th life, once it has begun."""
        until((self.folder / f"life-{number}").exists)
        return int((self.folder / f"life-{number}").read_text())

    def jvm(self) -> int:
        until((self.folder / "jvm").exists)
        return int((self.folder / "jvm").read_text())

    def ended(self) -> int:
        return self.process.wait(15)


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Consumer]]:
    started: list[Consumer] = []

    def begin(stream: str, pauses: tuple[float, ...] = (0.0,), **limits: float) -> Consumer:
        started.append(Consumer(tmp_path, stream, list(pauses), limits))
        return started[-1]

    yield begin
    for consumer in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(consumer.process.pid, signal.SIGKILL)
        consumer.process.wait()


def test_a_stream_that_ends_when_it_is_told_to_ends_the_consumer_well(begin: Callable[..., Consumer]) -> None:
    consumer = begin(
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); sign(b'c'); Path('up').touch(); time.sleep(60)"
    )
    until((consumer.folder / "up").exists)
    consumer.process.terminate()
    assert consumer.ended() == 0
    assert not living(consumer.life(1))
    assert "the stream is told to end" in consumer.said()


def test_what_somebody_must_mend_is_not_tried_again(begin: Callable[..., Consumer]) -> None:
    consumer = begin("print('the table is not there'); sys.exit(2)")
    assert consumer.ended() == 2
    assert not (consumer.folder / "life-2").exists()
    assert "is not started again" in consumer.said()


@pytest.mark.parametrize("end", ["sys.exit(1)", "sys.exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_stream_that_ends_otherwise_is_started_again(begin: Callable[..., Consumer], end: str) -> None:
    consumer = begin(f"{end} if lives < 3 else time.sleep(60)")
    third = consumer.life(3)
    assert living(third)
    assert consumer.said().count("it is started again in 0 s") == 2


def test_a_stream_that_cannot_be_started_is_tried_again(begin: Callable[..., Consumer]) -> None:
    consumer = begin("")
    until(lambda: consumer.said().count("the stream can't be started") > 2)
    assert consumer.process.poll() is None


def test_the_pause_grows_until_the_stream_has_done_well_for_a_while(begin: Callable[..., Consumer]) -> None:
    stream = "sign(b'c'); time.sleep(0.3 if lives == 3 else 0); sign(b'c'); time.sleep(0.1); sys.exit(1)"
    consumer = begin(stream, pauses=(0.01, 0.02, 0.03), STEADY=0.2)
    until(lambda: consumer.said().count("again in") >= 5)
    pauses = [line.split()[-2] for line in consumer.said().splitlines() if "again in" in line]
    assert pauses[:5] == ["0.01", "0.02", "0.01", "0.02", "0.03"]


def test_an_end_is_not_waited_for_in_a_pause(begin: Callable[..., Consumer]) -> None:
    consumer = begin("sys.exit(1)", pauses=(60.0,))
    until(lambda: "again in 60 s" in consumer.said())
    consumer.process.terminate()
    assert consumer.ended() == 0


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        ("time.sleep(60)", "has not begun to read"),
        ("sign(b'b'); sign(b'c'); time.sleep(60)", "has committed nothing"),
        ("sign(b'cf'); time.sleep(60)", "has failed and not ended"),
        ("sign(b'c'); os.close(int(os.environ['CONSUMER_SIGNS_FD'])); time.sleep(60)", "has failed and not ended"),
    ],
)
def test_a_stream_that_hangs_says_where_and_is_ended_with_its_jvm(
    begin: Callable[..., Consumer], stream: str, why: str
) -> None:
    consumer = begin(
        f"if lives > 1: time.sleep(60)\n{_JVM}\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{stream}",
        BEGINNING=2,
        SILENT=0.5 if "committed" in why else 50,
        FAILING=0.5,
        _LOOK=0.1,
    )
    first, jvm = consumer.life(1), consumer.jvm()
    consumer.life(2)
    assert not living(first) and not living(jvm)
    assert f"the stream {why}" in consumer.said()
    assert "the threads of the JVM" in consumer.said()
    assert "Fatal Python error: Aborted" in consumer.said() and "<string>" in consumer.said()


@pytest.mark.parametrize("end", ["sys.exit(3)", "time.sleep(60)"])
def test_the_next_stream_has_shorter_batches_when_something_took_too_long(
    begin: Callable[..., Consumer], end: str
) -> None:
    stream = f"Path(f'halved-{{lives}}').write_text(sys.argv[1])\nsign(b'c')\n{end} if lives < 3 else sys.exit(1)"
    consumer = begin(stream, SILENT=0.3, _LOOK=0.1)
    consumer.life(5)
    until((consumer.folder / "halved-4").exists)
    assert [(consumer.folder / f"halved-{life}").read_text() for life in (1, 2, 3, 4)] == ["0", "1", "2", "2"]
    assert "halved 2 times" in consumer.said()


def test_a_stream_that_takes_too_long_in_the_continuous_lane_begins_with_micro_batches(
    begin: Callable[..., Consumer],
) -> None:
    arguments = "Path(f'arguments-{lives}').write_text(' '.join(sys.argv[1:]))"
    stream = f"{arguments}\nsign(b'lc' if lives < 3 else b'mc')\nsys.exit(3 if lives < 4 else 1)"
    consumer = begin(stream, _LOOK=0.1)
    consumer.life(5)
    until((consumer.folder / "arguments-5").exists)
    found = [(consumer.folder / f"arguments-{life}").read_text() for life in range(1, 6)]
    assert found == ["0 0", "0 1", "0 2", "1 2", "1 2"]


def test_a_stream_that_does_not_end_when_told_to_is_ended_by_force(begin: Callable[..., Consumer]) -> None:
    consumer = begin(
        f"{_JVM}\nsignal.signal(signal.SIGTERM, signal.SIG_IGN); sign(b'c'); Path('up').touch(); time.sleep(60)",
        STOPPING=0.3,
        _LOOK=0.1,
    )
    until((consumer.folder / "up").exists)
    consumer.process.terminate()
    assert consumer.ended() == 0
    assert not living(consumer.life(1)) and not living(consumer.jvm())
    assert "has not ended within 0.3 s" in consumer.said()


def test_a_stream_that_somebody_has_stopped_ends_all_the_same(begin: Callable[..., Consumer]) -> None:
    consumer = begin(f"{_JVM}\nsign(b'c'); Path('up').touch(); time.sleep(60)", SILENT=0.5, _LOOK=0.1)
    until((consumer.folder / "up").exists)
    for pid in (consumer.life(1), consumer.jvm()):
        os.kill(pid, signal.SIGSTOP)
    consumer.life(2)
    assert not living(consumer.life(1))
    assert "the threads of the JVM" in consumer.said()
    os.kill(consumer.life(2), signal.SIGSTOP)
    consumer.process.terminate()
    assert consumer.ended() == 0


def test_a_jvm_that_a_killed_stream_left_is_ended_before_the_next_begins(begin: Callable[..., Consumer]) -> None:
    consumer = begin(f"if lives > 1: time.sleep(60)\n{_JVM}\ntime.sleep(60)", _ORPHANS=0.3)
    jvm = consumer.jvm()
    os.kill(consumer.life(1), signal.SIGKILL)
    consumer.life(2)
    assert not living(jvm)


def test_no_stream_outlives_a_consumer_that_is_killed(begin: Callable[..., Consumer]) -> None:
    consumer = begin("sign(b'c'); time.sleep(60)")
    stream = consumer.life(1)
    consumer.process.kill()
    consumer.process.wait()
    until(lambda: not living(stream))


def test_the_parent_is_light() -> None:
    asked = "import sys, spark_consumer.main; import json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"pyspark", "py4j", "pydantic", "kafka", "requests"} & set(json.loads(done.stdout))


def test_who_neither_dumps_nor_has_a_handler_is_left_alone() -> None:
    with subprocess.Popen(["sleep", "60"]) as plain:
        processes.dump([plain.pid, 2**22 + 1])
        assert plain.poll() is None
        assert plain.pid in processes.descendants(os.getpid())
        processes.kill([plain.pid])
