"""The embedded PostgreSQL of users who may not inspect its processes; limits of its waits."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from shared.embedded.server import EmbeddedPostgres, Limits, RunningServer
from shared.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]
SHORT = Limits(start=5, stop=1, join=1)

STARTS_KILLS_AND_STARTS_AGAIN = """
import os, signal, sys, time
from pathlib import Path
import psycopg2
from shared.embedded.server import EmbeddedPostgres

project = Path(sys.argv[1])
with EmbeddedPostgres(project).running() as server:
    with EmbeddedPostgres(project).running() as joined:
        assert joined.pid == server.pid, "it started a second server"
    assert server.is_running(), "it stopped a server that is in use"
    pid_file = server.data / "postmaster.pid"
    assert pid_file.exists(), "it removed the pid file of a living server"
assert not server.is_running() and not pid_file.exists(), "it did not stop the server"

with EmbeddedPostgres(project).running() as server:
    os.kill(server.pid, signal.SIGKILL)
    with EmbeddedPostgres(project).running() as again:
        assert again.pid != server.pid
print(server.data)
"""


RUNS_ITSELF = "import subprocess, sys, psycopg2; subprocess.run([sys.executable, '-V'], check=True)"

ENVIRON = {
    "PATH": os.environ["PATH"],
    "PYTHONPATH": os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")]),
}


def find_python(command: Sequence[str]) -> str:
    """Return a Python of this version that runs under a command; skip the test without one."""
    system = f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}"
    for python in (sys.executable, system):
        tried = [*command, python, "-c", RUNS_ITSELF]
        if not subprocess.run(tried, check=False, capture_output=True, env=ENVIRON).returncode:
            return python
    pytest.skip("the other user cannot run a Python with this project's packages")


def run_as(command: Sequence[str], script: str, project: Path) -> Path:
    """Run a script under a command that changes the user or its rights; return what it prints."""
    done = subprocess.run(
        [*command, find_python(command), "-c", script, str(project)],
        capture_output=True,
        text=True,
        env=ENVIRON,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def setpriv(*options: str) -> list[str]:
    """Return the start of a command line; skip the test where it does not work here."""
    if os.geteuid() != 0:
        pytest.skip("only root can give up rights or become another user")
    found = shutil.which("setpriv")
    if found is None:
        pytest.skip("setpriv (util-linux) is not installed")
    command = [found, *options, "--"]
    if subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip(f"setpriv {' '.join(options)} is not permitted here")
    return command


def ask(url: URL, question: str) -> object:
    with create_engine(url, poolclass=NullPool).connect() as conn:
        return conn.scalar(text(question))


def test_root_without_ptrace_starts_joins_stops_and_restarts_the_server(empty_project: Path):
    without = setpriv("--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace")

    data = run_as(without, STARTS_KILLS_AND_STARTS_AGAIN, empty_project)

    assert data.is_relative_to(empty_project)
    assert data.stat().st_uid != 0


def test_an_ordinary_user_starts_joins_stops_and_restarts_the_server(empty_project: Path):
    nobody = pwd.getpwnam("nobody")
    become: list[str] = []
    if os.geteuid() == 0:
        ids = (f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")
        become = setpriv(*ids)
        os.chown(empty_project, nobody.pw_uid, nobody.pw_gid)

    data = run_as(become, STARTS_KILLS_AND_STARTS_AGAIN, empty_project)

    assert data == empty_project / ".local" / "postgres" / "data"


def without_the_lock(server: RunningServer) -> None:
    """Leave the folder as release 0.1.0 did, whose servers inherit no lock."""
    (server.data.parent / "server.lock").unlink()


def test_a_server_that_an_older_release_started_is_joined_and_stopped(project: Path):
    with EmbeddedPostgres(project).running() as server:
        without_the_lock(server)
        with EmbeddedPostgres(project).running() as joined:
            assert joined.pid == server.pid
            assert ask(joined.url, "SELECT 1") == 1
        assert server.is_running()

    assert not server.is_running()
    assert not (server.data / "postmaster.pid").exists()


def test_a_pid_file_in_doubt_is_reported_and_left_alone(project: Path):
    with EmbeddedPostgres(project).running() as server:
        lines = (server.data / "postmaster.pid").read_text().splitlines()
        owner = server.data.stat().st_uid
    without_the_lock(server)
    sleeper = subprocess.Popen(["sleep", "100"], user=owner if os.geteuid() == 0 else None)
    left = "\n".join([str(sleeper.pid), *lines[1:], ""])
    (server.data / "postmaster.pid").write_text(left)
    try:
        with (
            pytest.raises(ConfigurationError) as refused,
            EmbeddedPostgres(project, limits=SHORT).running(),
        ):
            pass
    finally:
        sleeper.kill()
        sleeper.wait()

    assert f"(process {sleeper.pid}, log: " in str(refused.value)
    assert "it is unknown after 1 s whether" in str(refused.value)
    assert "; pg_ctl status reports 'pg_ctl: server is running" in str(refused.value)
    assert f"remove {str(server.data / 'postmaster.pid')!r} if the process is another" in str(
        refused.value
    )
    assert (server.data / "postmaster.pid").read_text() == left


def test_an_empty_pid_file_is_reported_and_left_alone(project: Path):
    with EmbeddedPostgres(project).running() as server:
        pass
    (server.data / "postmaster.pid").touch()

    with (
        pytest.raises(ConfigurationError, match=r"incomplete postmaster.pid.*is empty"),
        EmbeddedPostgres(project, limits=SHORT).running(),
    ):
        pass
    assert (server.data / "postmaster.pid").exists()


def test_a_process_id_reused_by_the_servers_user_is_recognised(project: Path):
    with EmbeddedPostgres(project).running() as server:
        lines = (server.data / "postmaster.pid").read_text().splitlines()
        owner = server.data.stat().st_uid
    sleeper = subprocess.Popen(["sleep", "100"], user=owner if os.geteuid() == 0 else None)
    (server.data / "postmaster.pid").write_text("\n".join([str(sleeper.pid), *lines[1:], ""]))
    try:
        with EmbeddedPostgres(project).running() as again:
            assert again.pid != sleeper.pid
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


@pytest.mark.slow
def test_a_server_that_does_not_stop_is_named_after_a_while(project: Path):
    with (
        pytest.raises(ConfigurationError, match=r"\(process \d+\) does not stop within 2 s") as got,
        EmbeddedPostgres(project, limits=SHORT).running() as server,
    ):
        os.kill(server.pid, signal.SIGSTOP)

    assert "end that process" in str(got.value)
    os.kill(server.pid, signal.SIGCONT)
    with EmbeddedPostgres(project).running() as again:
        assert ask(again.url, "SELECT 1") == 1


@contextlib.contextmanager
def locked_elsewhere(project: Path, name: str) -> "Iterator[subprocess.Popen[str]]":
    """Have another process hold a lock of the server's folder, for one `with` block."""
    lock = project / ".local" / "postgres" / name
    with subprocess.Popen(
        ["flock", str(lock), "sh", "-c", "echo held; cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        yield holder
        holder.communicate()


@pytest.mark.slow
def test_a_command_that_holds_the_lock_is_waited_for_and_then_reported(project: Path):
    with EmbeddedPostgres(project).running():
        pass

    with (
        locked_elsewhere(project, "lock"),
        pytest.raises(ConfigurationError, match=r"has been starting or stopping .* for 3 s"),
        EmbeddedPostgres(project, limits=Limits(start=0, stop=1, join=1)).running(),
    ):
        pass


@pytest.mark.slow
def test_a_server_that_is_still_recovering_is_waited_for_and_not_stopped(project: Path):
    with EmbeddedPostgres(project).running() as server:
        pid_file = server.data / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([*lines[:-1], "starting", ""]))

    waited_for = r"neither ready nor ended for 1 s; recovery after"
    with locked_elsewhere(project, "server.lock") as starting:
        with (
            pytest.raises(ConfigurationError, match=waited_for),
            EmbeddedPostgres(project, limits=Limits(start=1, stop=1, join=1)).running(),
        ):
            pass
        assert pid_file.exists()
        assert starting.poll() is None
    with EmbeddedPostgres(project).running() as again:
        assert ask(again.url, "SELECT 1") == 1
