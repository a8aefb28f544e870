"""Entering the project's own Python environment: its parts as functions, no environment is made."""

import ast
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scripts import bootstrap

LOCK = """\
# made by a tool
uuid7==1.0 \\
    --hash=sha256:aa
uv==0.1.2 ; sys_platform != 'x' \\
    --hash=sha256:bb \\
    --hash=sha256:cc
    # via -r requirements.in
uvloop==9.9 \\
    --hash=sha256:dd
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The module as if the project lay in an empty folder, with a user who has configured nothing."""
    venv = tmp_path / ".venv"
    paths = {
        "VENV": venv,
        "VENVS": tmp_path / ".venvs",
        "PYTHON": venv / "bin" / "python",
        "LOCK": tmp_path / "requirements.lock",
    }
    for name, path in paths.items():
        monkeypatch.setattr(bootstrap, name, str(path))
    (tmp_path / "requirements.lock").write_text(LOCK)
    for name in list(os.environ):
        if name.startswith(("UV_", "PIP_", "PIPELINE_", "XDG_")) or name.endswith("_CA_BUNDLE") or "SSL" in name:
            monkeypatch.delenv(name)
    return tmp_path


def told(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


@pytest.mark.parametrize("path", ["scripts/bootstrap.py", "scripts/run", "scripts/test", "scripts/pipeline"])
def test_an_old_python_can_read_it_far_enough_to_complain(path: str) -> None:
    tree = ast.parse(Path(bootstrap.ROOT, path).read_text(), feature_version=(3, 6))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported - sys.stdlib_module_names <= {"scripts.bootstrap"}
    assert os.access(Path(bootstrap.ROOT, path), os.X_OK) or path.endswith(".py")


def _as_python(monkeypatch: pytest.MonkeyPatch, *version: int) -> None:
    other = SimpleNamespace(
        version_info=version, argv=["./scripts/run", "--seed", "x"], stderr=sys.stderr, exit=sys.exit
    )
    monkeypatch.setattr(bootstrap, "sys", other)


def test_a_wrong_python_is_told_when_there_is_no_right_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _as_python(monkeypatch, 3, 13, 1)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        bootstrap.enter("run")
    assert ended.value.code == 1
    assert told(capsys) == [
        "error: Python 3.11 is needed, this is Python 3.13",
        "  next: install python3.11 and put it on the PATH",
    ]
    assert not (tmp_path / ".venv").exists()


def test_a_wrong_python_hands_over_to_the_right_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = tmp_path / "python3.11"
    right.write_text("#!/bin/sh\n")
    right.chmod(0o755)
    _as_python(monkeypatch, 3, 6, 15)
    monkeypatch.setenv("PATH", str(tmp_path))
    executed: list[Any] = []

    def execv(path: str, arguments: list[str]) -> None:
        executed.append((path, arguments))
        raise SystemExit

    monkeypatch.setattr(os, "execv", execv)
    with pytest.raises(SystemExit):
        bootstrap.enter("run")
    assert executed == [(str(right), [str(right), "./scripts/run", "--seed", "x"])]


class Entered(Exception):
    """Instead of becoming another process."""


@pytest.fixture
def entered(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was executed, in place of this process: path, arguments, environment."""
    executed: list[Any] = []

    def execve(*arguments: Any) -> None:
        executed.append(arguments)
        raise Entered

    monkeypatch.setattr(os, "execve", execve)
    return executed


def _enter(*arguments: str) -> None:
    with pytest.raises(Entered):
        bootstrap.enter(*arguments)


def _furnish(folder: Path, stamp: str) -> Path:
    """A complete environment, as far as one can tell from outside."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to("/bin/sh")
    (folder / "complete").write_text(stamp)
    return folder


def _of_the_lock() -> Path:
    return Path(bootstrap._folder(bootstrap._fingerprint()))


@contextmanager
def _process_in(folder: Path) -> Iterator[None]:
    """A process that runs in the environment."""
    command = [str(folder / "bin" / "python"), "-c", "echo; read line; :"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.communicate()


def test_a_complete_environment_is_entered_as_it_is(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, entered: list[Any]
) -> None:
    folder = _furnish(_of_the_lock(), bootstrap._fingerprint())
    monkeypatch.setattr(bootstrap, "_make", lambda *arguments: pytest.fail("it was complete"))
    _enter("status", "--output", "json")
    ((path, arguments, environment),) = entered
    assert path == str(folder / "bin" / "python"), "through the link it would change under the process"
    assert arguments == [path, "-m", "scripts.commands", "status", "--output", "json"]
    assert environment["PYTHONPATH"] == bootstrap.ROOT
    assert environment["PATH"] == os.environ["PATH"]
    assert (elsewhere / ".venv").resolve() == folder


def test_a_complete_environment_does_not_wait_for_the_making_of_another(elsewhere: Path, entered: list[Any]) -> None:
    _furnish(_of_the_lock(), bootstrap._fingerprint())
    with (elsewhere / ".venvs" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _enter("run")
    assert len(entered) == 1


def test_ctrl_c_while_it_is_made_ends_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bootstrap, "_make", interrupted)
    monkeypatch.setattr(os, "execve", lambda *arguments: pytest.fail("there is nothing to enter"))
    with pytest.raises(SystemExit) as ended:
        bootstrap.enter("run")
    assert ended.value.code == 130
    assert len(told(capsys)) == 2


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("uv", ["uv==0.1.2 ; sys_platform != 'x' \\", "    --hash=sha256:bb \\", "    --hash=sha256:cc"]),
        ("uvloop", ["uvloop==9.9 \\", "    --hash=sha256:dd"]),
        ("nonesuch", []),
    ],
)
def test_the_lines_of_one_package_are_taken_from_the_lock(name: str, lines: list[str]) -> None:
    assert bootstrap._requirement(LOCK, name).splitlines() == (lines or [""])


def test_the_projects_lock_pins_the_installer_with_hashes() -> None:
    lines = bootstrap._requirement(Path(bootstrap.ROOT, "requirements.lock").read_text(), "uv").splitlines()
    assert lines[0].startswith("uv==")
    assert len(lines) > 1
    assert all(line.startswith("    --hash=sha256:") for line in lines[1:])
    assert not lines[-1].endswith("\\")


def test_whatever_the_environment_depends_on_makes_it_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    first = bootstrap._fingerprint()
    assert bootstrap._fingerprint() == first
    folder = str(_of_the_lock())
    assert not bootstrap._complete(folder, first)
    _furnish(Path(folder), first)
    assert bootstrap._complete(folder, first)
    assert not bootstrap._complete(folder, first[:16] + "another")
    with monkeypatch.context() as moved:
        moved.setattr(bootstrap, "VENVS", "/somewhere/else/.venvs")
        assert bootstrap._fingerprint() != first
    with monkeypatch.context() as upgraded:
        upgraded.setattr(bootstrap, "sys", SimpleNamespace(version="3.11.99 (main)"))
        assert bootstrap._fingerprint() != first
    Path(bootstrap.LOCK).write_text(LOCK + "more==1\n")
    assert bootstrap._fingerprint() != first


@pytest.fixture
def pip_says(elsewhere: Path) -> Callable[..., dict[str, str]]:
    """Make a pip that lists this configuration, and return what uv would be told."""

    def pip_says(*lines: str, code: int = 0) -> dict[str, str]:
        python = Path(bootstrap.PYTHON)
        python.parent.mkdir(parents=True, exist_ok=True)
        script = [
            "#!/bin/sh",
            "[ \"$*\" = '-m pip config list' ] || exit 9",
            "cat <<'END'",
            *lines,
            "END",
            f"exit {code}",
        ]
        python.write_text("\n".join(script))
        python.chmod(0o755)
        return bootstrap._uv_environment(str(python))

    return pip_says


def test_without_a_configuration_uv_gets_its_cache_and_nothing_else(
    pip_says: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_CACHE", "/cache of mine")
    given = pip_says()
    assert {k: v for k, v in given.items() if os.environ.get(k) != v} == {
        "UV_CACHE_DIR": "/cache of mine/uv",
        "UV_NO_CONFIG": "1",
    }


def test_mirrors_and_bundle_of_pip_are_handed_on(pip_says: Callable[..., dict[str, str]], elsewhere: Path) -> None:
    given = pip_says(
        "global.cert='/etc/ssl/my ca.pem'",
        "global.extra-index-url='https://one.example/simple\\nhttps://two.example/simple'",
        f"global.find-links='/not/there\\n{elsewhere}\\nhttps://links.example/x'",
        'global.index-url="https://user:it\'s@mirror.example/simple"',
        "global.timeout='60'",
        "list.index-url='https://not.for.install.example'",
    )
    assert given["UV_DEFAULT_INDEX"] == "https://user:it's@mirror.example/simple"
    assert given["UV_INDEX"] == "https://one.example/simple https://two.example/simple"
    assert given["UV_FIND_LINKS"] == f"{elsewhere},https://links.example/x"
    assert given["SSL_CERT_FILE"] == "/etc/ssl/my ca.pem"


@pytest.mark.parametrize("turned", [1, -1])
def test_the_environment_rules_over_the_install_section_and_that_over_the_global_one(
    pip_says: Callable[..., dict[str, str]], turned: int
) -> None:
    """pip's versions differ in the order in which they list them."""
    lines = [
        ":env:.index-url='https://env.example'",
        "global.cert='/global.pem'",
        "global.index-url='https://global.example'",
        "install.cert='/install.pem'",
        "install.index-url='https://install.example'",
    ]
    given = pip_says(*lines[::turned])
    assert given["UV_DEFAULT_INDEX"] == "https://env.example"
    assert given["SSL_CERT_FILE"] == "/install.pem"


def test_what_is_set_for_uv_itself_stays(
    pip_says: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.example")
    monkeypatch.setenv("SSL_CERT_FILE", "/uv.pem")
    given = pip_says("global.index-url='https://pip.example'", "global.cert='/pip.pem'")
    assert given["UV_DEFAULT_INDEX"] == "https://uv.example"
    assert given["SSL_CERT_FILE"] == "/uv.pem"


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_bundle_that_pip_takes_from_the_environment_is_handed_on(
    pip_says: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "/company ca.pem")
    assert pip_says()["SSL_CERT_FILE"] == "/company ca.pem"
    assert pip_says("global.cert='/pip.pem'")["SSL_CERT_FILE"] == "/pip.pem"


def test_a_pip_that_cannot_list_is_no_obstacle(pip_says: Callable[..., dict[str, str]]) -> None:
    assert "UV_DEFAULT_INDEX" not in pip_says(code=1)


def test_real_pip_lists_what_is_read_here(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere / "pip.conf").write_text("[global]\nextra-index-url =\n  https://one.example\n  https://two.example\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(elsewhere / "pip.conf"))
    monkeypatch.setenv("PIP_INDEX_URL", "https://env.example")
    given = bootstrap._uv_environment(sys.executable)
    assert given["UV_DEFAULT_INDEX"] == "https://env.example"
    assert given["UV_INDEX"].split()[-2:] == ["https://one.example", "https://two.example"]


class Steps:
    """Stands in for the steps of making an environment. fails: number of the step that does."""

    def __init__(self, fails: int | None = None) -> None:
        self.taken: list[list[str]] = []
        self._fails = fails

    def __call__(self, command: list[str], remedy: str, environment: dict[str, str] | None = None) -> None:
        assert remedy
        folder = _of_the_lock()
        assert not (folder / "complete").exists(), "whoever stops us here must find it incomplete"
        self.taken.append(command)
        if len(self.taken) == self._fails:
            raise SystemExit(1)
        if command[1:3] == ["-m", "venv"]:
            assert not folder.exists(), "half-made"
            (folder / "bin").mkdir(parents=True)
            (folder / "bin" / "python").symlink_to("/bin/sh")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    return _stepping(monkeypatch, Steps())


def _stepping(monkeypatch: pytest.MonkeyPatch, steps: Steps) -> Steps:
    monkeypatch.setattr(bootstrap, "_step", steps)
    monkeypatch.setattr(bootstrap, "_uv_environment", lambda python: {})
    return steps


def test_it_is_made_from_hashes_alone_and_complete_only_at_the_end(
    elsewhere: Path, steps: Steps, entered: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _of_the_lock()
    (folder / "half-made").mkdir(parents=True)
    _enter("run")
    venv, pip, uv = steps.taken
    assert venv == [sys.executable, "-m", "venv", str(folder)]
    assert "--require-hashes" in pip
    assert Path(pip[-1]).read_text() == bootstrap._requirement(LOCK, "uv")
    assert "--require-hashes" in uv
    assert uv[-1] == bootstrap.LOCK
    assert bootstrap._complete(str(folder), bootstrap._fingerprint())
    assert os.readlink(elsewhere / ".venv") == f".venvs/{folder.name}"
    assert sorted(path.name for path in (elsewhere / ".venvs").iterdir()) == sorted([folder.name, "lock"])
    assert len(told(capsys)) == 1
    _enter("run")
    assert len(steps.taken) == 3
    assert {path for path, _, _ in entered} == {str(folder / "bin" / "python")}


@pytest.mark.parametrize("fails", [1, 2, 3])
def test_a_step_that_fails_leaves_it_incomplete_and_the_one_of_before(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, fails: int
) -> None:
    before = _furnish(elsewhere / ".venvs" / "before", "of an older lock")
    (elsewhere / ".venv").symlink_to(".venvs/before")
    _stepping(monkeypatch, Steps(fails))
    with pytest.raises(SystemExit):
        bootstrap.enter("run")
    assert not bootstrap._complete(str(_of_the_lock()), bootstrap._fingerprint())
    assert (elsewhere / ".venv").resolve() == before


def test_a_lock_that_changes_meanwhile_is_not_taken_for_the_one_it_was_made_from(
    steps: Steps, capsys: pytest.CaptureFixture[str]
) -> None:
    fingerprint, folder = bootstrap._fingerprint(), str(_of_the_lock())
    Path(folder, "bin").mkdir(parents=True)
    Path(bootstrap.LOCK).write_text(LOCK + "more==1\n")
    (Path(folder) / "installer.lock").touch()
    with pytest.MonkeyPatch.context() as kept:
        kept.setattr(bootstrap, "_remove", lambda path: None)
        with pytest.raises(SystemExit):
            bootstrap._make(folder, fingerprint)
    assert not bootstrap._complete(folder, fingerprint)
    assert "requirements.lock changed" in told(capsys)[-2]


def test_an_upgrade_leaves_a_running_process_its_environment(elsewhere: Path, steps: Steps, entered: list[Any]) -> None:
    _enter("run")
    first = _of_the_lock()
    with _process_in(first):
        Path(bootstrap.LOCK).write_text(LOCK + "more==1\n")
        _enter("test")
        second = _of_the_lock()
        assert (elsewhere / ".venv").resolve() == second != first
        assert (first / "complete").exists()
    Path(bootstrap.LOCK).write_text(LOCK + "more==2\n")
    _enter("run")
    assert not first.exists()
    assert not second.exists()
    assert (elsewhere / ".venv").resolve() == _of_the_lock()


def test_two_commands_at_once_make_it_once(elsewhere: Path) -> None:
    """As processes: a lock holds between those, and a fake venv, pip and uv are what they find."""
    script = """
import os, sys, time
from scripts import bootstrap
root, bootstrap.sys = sys.argv[1], sys
for name, path in (("VENV", ".venv"), ("VENVS", ".venvs"), ("LOCK", "requirements.lock")):
    setattr(bootstrap, name, os.path.join(root, path))
def step(command, remedy, environment=None):
    with open(os.path.join(root, "taken"), "a") as taken:
        taken.write("step\\n")
    if "venv" in command:
        os.makedirs(os.path.join(command[-1], "bin"))
        time.sleep(1)
bootstrap._step, bootstrap._uv_environment = step, lambda python: {}
os.execve = lambda path, *rest: print(path)
bootstrap.enter("run")
"""
    command = [sys.executable, "-c", script, str(elsewhere)]
    environment = {**os.environ, "PYTHONPATH": bootstrap.ROOT}
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert told == [f"{_of_the_lock()}/bin/python\n"] * 2
    assert (elsewhere / "taken").read_text() == "step\n" * 3


@pytest.mark.parametrize("command", ["down", "status", "doctor", "logs"])
@pytest.mark.parametrize("linked", [True, False])
def test_what_looks_or_stops_takes_the_environment_of_before(
    elsewhere: Path, steps: Steps, entered: list[Any], capsys: pytest.CaptureFixture[str], command: str, linked: bool
) -> None:
    before = _furnish(elsewhere / (".venvs/before" if linked else ".venv"), "of an older lock")
    if linked:
        (elsewhere / ".venv").symlink_to(".venvs/before")
    (elsewhere / ".venvs").mkdir(exist_ok=True)
    with (elsewhere / ".venvs" / "lock").open("w") as lock:  # somebody is making the new one
        fcntl.flock(lock, fcntl.LOCK_EX)
        _enter(command, "-x")
    assert [path for path, _, _ in entered] == [str(before / "bin" / "python")]
    assert steps.taken == []
    (line,) = told(capsys)
    assert "has no Python environment yet" in line
    assert "./scripts/run" in line


@pytest.mark.parametrize("lacks", ["complete", "bin/python"])
def test_what_looks_or_stops_makes_one_where_there_is_none(
    elsewhere: Path, steps: Steps, entered: list[Any], lacks: str
) -> None:
    (_furnish(elsewhere / ".venv", "of an older lock") / lacks).unlink()
    _enter("down")
    assert len(steps.taken) == 3


def test_an_environment_in_the_links_place_stays_while_it_is_in_use(
    elsewhere: Path, steps: Steps, entered: list[Any]
) -> None:
    old = _furnish(elsewhere / ".venv", "of an older lock")
    with _process_in(old):
        _enter("run")
        assert (old / "complete").read_text() == "of an older lock"
        assert not old.is_symlink()
    assert [path for path, _, _ in entered] == [str(_of_the_lock() / "bin" / "python")]
    _enter("run")
    assert old.is_symlink()
    assert old.resolve() == _of_the_lock()
    assert len(steps.taken) == 3


def test_without_a_list_of_processes_everything_counts_as_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(path: str) -> list[str]:
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "listdir", nothing)
    assert bootstrap._used(["/a", "/b"]) == {"/a", "/b"}


@pytest.mark.parametrize("command", [["/bin/sh", "-c", "exit 7"], ["/not/there"]])
def test_a_step_that_fails_is_named_with_what_to_do(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bootstrap._step(command, "do this")
    assert ended.value.code == 1
    error, following = told(capsys)
    assert Path(command[0]).name in error
    assert following == "  next: do this"


def test_a_step_gets_its_environment(elsewhere: Path) -> None:
    bootstrap._step(["/bin/sh", "-c", f'echo "$X" > "{elsewhere}/out"'], "", environment={"X": "given"})
    assert (elsewhere / "out").read_text() == "given\n"


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"PIPELINE_CACHE": "/mine", "XDG_CACHE_HOME": "/xdg"}, "/mine"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/nifi-users-pipeline"),
        ({"PIPELINE_CACHE": "", "XDG_CACHE_HOME": ""}, "/home/me/.cache/nifi-users-pipeline"),
        ({}, "/home/me/.cache/nifi-users-pipeline"),
    ],
)
def test_the_cache_lies_outside_the_clone(
    environment: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert bootstrap.cache_folder() == folder


def test_the_scripts_find_the_project_from_any_folder(tmp_path: Path) -> None:
    """Through a link, too, and in a process that stops before it would make or enter anything."""
    link = tmp_path / "run"
    link.symlink_to(Path(bootstrap.ROOT, "scripts", "run"))
    stop = "import runpy, sys; sys.version_info = (2, 7); runpy.run_path(sys.argv[1], run_name='__main__')"
    for script in (Path(bootstrap.ROOT, "scripts", "run"), link):
        done = subprocess.run(
            [sys.executable, "-S", "-c", stop, str(script)],
            cwd=tmp_path,
            env={"PATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr.startswith("error: Python 3.11 is needed, this is Python 2.7"), (script, done.stderr)
        assert done.returncode == 1
