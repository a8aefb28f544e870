"""What readings of the machine mean: Python, memory, CPUs, disk, folders, CA bundles, proxies and ports."""

import re
from collections.abc import Iterator, Mapping, Sequence

from nifi_flows.wording import one_line, some
from scripts.bootstrap import WANTED
from scripts.doctor.diagnosis import Diagnosis, ok, problem, warning
from scripts.observe.machine import CaBundle, Disk, PortUse, Proxies, normalised
from scripts.stack.machine import Memory
from scripts.stack.preflight import DISK_NEEDED, MEMORY_NEEDED, gib
from scripts.stack.settings import LOOPBACK

_NAMED = 5  # of many, how many a finding names
_SPARE_MEMORY = 512 * 1024**2  # bytes; with less, the kernel may soon end an engine
_SPARE_DISK = 512 * 1024**2  # bytes; with less, Kafka and Cassandra may soon stop
_LITTLE_DISK = 2 * 1024**3  # bytes
_FEW_CORES = 2


def check_python(version: tuple[int, int], lock: str, installed: Mapping[str, str]) -> Iterator[Diagnosis]:
    """lock: text of requirements.lock. installed: normalised name of each package -> its version."""
    if version != WANTED:
        yield problem(
            "Python",
            "this is Python {}.{}, needed is {}.{}".format(*version, *WANTED),
            "install python{}.{} and put it on the PATH".format(*WANTED),
        )
    required, allowed = _locked(lock)
    wrong = sorted(required - set(installed))
    wrong += sorted(name for name, version in installed.items() if version not in allowed.get(name, {version}))
    if wrong:
        yield problem(
            "Python",
            f"{len(wrong)} packages of .venv are missing or not as in requirements.lock: {some(wrong, _NAMED)}",
            "./scripts/run makes them as locked; should it not, ./scripts/pipeline down and rm -r .venvs first",
        )
    if version == WANTED and not wrong:
        yield ok("Python", "{}.{}, packages as in requirements.lock".format(*version))


def check_memory(memory: Memory, used: int | None) -> Diagnosis:
    """used: resident bytes of the stack's engines, None when it does not run."""
    what = f"{gib(memory.available)} of memory free" + (" within the container's limit" if memory.limited else "")
    remedy = "raise the container's memory limit" if memory.limited else "stop other programs or use a larger machine"
    if used is None:
        if memory.available < MEMORY_NEEDED:
            return problem("memory", f"{what}, the stack needs {gib(MEMORY_NEEDED)} to start", remedy)
        return ok("memory", what)
    what += f", the engines use {gib(used)}"
    if memory.available < _SPARE_MEMORY:
        return problem("memory", f"{what}: the kernel may end one of them", remedy)
    if memory.available + used < MEMORY_NEEDED:
        return warning("memory", f"{what} and may come to use {gib(MEMORY_NEEDED)}", remedy)
    return ok("memory", what)


def check_cores(cores: float) -> Diagnosis:
    if cores < _FEW_CORES:
        return warning("memory", f"{cores:.1f} CPUs: starting may take longer than is waited", "allow it two CPUs")
    return ok("memory", f"{cores:g} CPUs")


def check_disks(disks: Sequence[Disk], *, running: bool) -> Iterator[Diagnosis]:
    for disk in disks:
        if not disk.is_folder:
            yield problem("disk", f"{disk.there} is no folder", f"set {disk.variable} to another place")
        elif not disk.writable:
            made = "cannot be written" if disk.there == disk.folder else f"cannot be made: {disk.there} is read-only"
            remedy = f"make it writable, or set {disk.variable} to another place"
            yield problem("disk", f"{disk.folder} {made}", remedy)
    for disk in {disk.device: disk for disk in reversed(disks)}.values():
        on = [other for other in disks if other.device == disk.device]
        what = f"{gib(disk.free)} free in {' and '.join(str(other.folder) for other in on)}"
        remedy = f"free some, or move it with {' and '.join(other.variable for other in on)}"
        if running and disk.free < _LITTLE_DISK:
            tell = problem if disk.free < _SPARE_DISK else warning
            yield tell("disk", f"{what}: Kafka and Cassandra stop when it is full", "free some")
        elif not running and disk.free < DISK_NEEDED:
            yield problem("disk", f"{what}, the stack needs {gib(DISK_NEEDED)} to start", remedy)
        else:
            yield ok("disk", what)


def check_bundles(bundles: Sequence[CaBundle]) -> Iterator[Diagnosis]:
    for bundle in bundles:
        if bundle.fault:
            remedy = f"correct or unset {bundle.setting}"
            yield problem("network", f"{bundle.setting} names {bundle.path}: {one_line(bundle.fault)}", remedy)
    good = {bundle.path: bundle for bundle in bundles if not bundle.fault}
    for path, bundle in good.items():
        yield ok("network", f"CA bundle {path}: {bundle.certificates} certificates")


def check_proxies(proxies: Proxies) -> Iterator[Diagnosis]:
    named = ", ".join(f"{name} is {one_line(host)}" for name, host in proxies.hosts.items())
    if proxies.loopback:
        yield problem(
            "network",
            f"{named}: calls of the stack's own engines at {LOOPBACK} would go there too",
            f"export NO_PROXY={LOOPBACK},localhost",
        )
    elif named:
        yield ok("network", f"{named}, not for {LOOPBACK}")


def check_ports(ports: Sequence[PortUse]) -> Iterator[Diagnosis]:
    foreign = [port for port in ports if port.holder is not None and not port.ours]
    for home in sorted({port.home for port in foreign if port.home}):
        held = ", ".join(str(port.number) for port in foreign if port.home == home)
        what = f"another stack, in {one_line(home)}, has the ports {held}"
        yield problem(
            "ports", what, f"PIPELINE_HOME={home} ./scripts/pipeline down, or set other ports: see the README"
        )
    for port in foreign:
        if not port.home:
            what = f"port {port.number} ({port.variable}) is taken{port.holder}"
            yield problem("ports", what, f"stop what holds it, or set {port.variable} to another port")
    if not foreign:
        own = sum(port.ours for port in ports)
        yield ok("ports", f"{len(ports) - own} free" + (f", {own} held by this stack" if own else ""))


def _locked(lock: str) -> tuple[set[str], dict[str, set[str]]]:
    """Names that every machine needs, and every locked name with the versions that some machine takes."""
    required: set[str] = set()
    allowed: dict[str, set[str]] = {}
    for name, version, marker in re.findall(r"^([A-Za-z0-9][\w.-]*)==([^\s;\\]+)[ \t]*(;?)", lock, re.MULTILINE):
        allowed.setdefault(normalised(name), set()).add(version)
        if not marker:
            required.add(normalised(name))
    return required, allowed
