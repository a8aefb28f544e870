"""What the engines' answers mean, and what their supervisor says of them."""

from collections.abc import Iterator, Mapping

from nifi_flows.wording import one_line
from scripts.doctor.diagnosis import Diagnosis, ok, problem, warning
from scripts.observe.engines import Exit, Process, Restart, Supervised, told
from scripts.stack.engines import watch

_STARTING = 240  # seconds after its start in which an engine may still be silent


def check_supervised(found: Supervised, *, set_up: bool) -> Iterator[Diagnosis]:
    if found.leftovers:
        yield problem(
            "engines",
            f"{', '.join(found.leftovers)} run, but the supervisor that started them is gone",
            "./scripts/run starts them anew, ./scripts/pipeline down ends them",
        )
    elif not found.running:
        yield ok("engines", "the stack is not running" if set_up else "nothing is set up yet; ./scripts/run does it")


def check_engine(name: str, process: Process | None, answer: str | Exception, *, optional: bool) -> Diagnosis:
    """process: None when the supervisor gave none. answer: the engine's own, or why there is none."""
    logs = f"./scripts/pipeline logs {name}"
    state = process.state if process else ""
    if state == "STOPPED" and optional:
        return ok("engines", f"{name} is left out; ./scripts/run starts it")
    if state == "STOPPED":
        return problem("engines", f"{name} is stopped", "./scripts/run starts it")
    if state == "EXITED":
        why = (process and process.error) or "somebody must act before it can run"
        return problem("engines", f"{name} has ended: {why}", f"mend that (see {logs}), then ./scripts/run starts it")
    if state == "FATAL":
        said = f": {process.error}" if process and process.error else ""
        return problem("engines", f"{name} has given up starting{said}", f"{logs}; it is tried again each minute")
    if state == "BACKOFF":
        return problem("engines", f"{name} ends right after each start", logs)
    if isinstance(answer, str):
        return ok("engines", f"{name}: {one_line(answer)}")
    why = one_line(str(answer)) or type(answer).__name__
    if process and process.uptime < _STARTING and state != "STOPPING":
        what = f"{name} was started {process.uptime} s ago and is not ready yet: {why}"
        return problem("engines", what, "wait, then ask again", passing=True)
    restarted = "./scripts/pipeline down and ./scripts/run restart it"
    if name == watch.NAME:  # a start has patience with all others, which the watch restarts
        restarted = "./scripts/run restarts it"
    return problem("engines", f"{name} does not answer: {why}", f"{logs}; {restarted}")


def check_restarts(restarts: Mapping[str, list[Restart]]) -> Iterator[Diagnosis]:
    """restarts: engine -> those by the liveness watch within the last hour."""
    for name, times in restarts.items():
        more = f", {len(times)} times in the last hour" if len(times) > 1 else ""
        yield warning("engines", told(name, times[-1]) + more, f"./scripts/pipeline logs {name}")


def check_exits(exits: Mapping[str, list[Exit]]) -> Iterator[Diagnosis]:
    """exits: engine -> how it ended by itself within the last hour."""
    for name, times in exits.items():
        last = one_line(f"at {times[-1].at:%H:%M:%S}, {times[-1].how}")
        what = f"{name} ended by itself {len(times)} times in the last hour, the last time {last}"
        yield warning("engines", what, f"./scripts/pipeline logs {name}")
