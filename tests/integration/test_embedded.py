"""The embedded PostgreSQL: started, joined, left, killed and damaged."""

import os
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import psycopg2
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool

from shared.embedded.programs import PACKAGE, SYSTEM_FOLDER
from shared.embedded.server import DATABASE, OWNER, PORT, EmbeddedPostgres, RunningServer
from shared.errors import ConfigurationError
from shared.schema.base import READER_ROLE
from tests.fakes.cases import sparse

USES_THE_SERVER_UNTIL_ITS_INPUT_ENDS = """
import sys
from pathlib import Path
from shared.embedded.server import EmbeddedPostgres

with EmbeddedPostgres(Path(sys.argv[1])).running():
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def user_in_another_process(project: Path) -> Iterator[Callable[[], "subprocess.Popen[str]"]]:
    """Starts processes that use the server until they are told to end."""
    started: list[subprocess.Popen[str]] = []

    def start() -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", USES_THE_SERVER_UNTIL_ITS_INPUT_ENDS, str(project)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.communicate()


def ask(url: URL, question: str) -> object:
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as conn:
        result = conn.execute(text(question))
        return result.scalar() if result.returns_rows else None


class Process:
    """The server's process, of which the kernel tells whether it ended."""

    def __init__(self, server: RunningServer) -> None:
        self.pid = int((server.data / "postmaster.pid").read_text().split()[0])
        self._handle = os.pidfd_open(self.pid)

    def __del__(self) -> None:
        os.close(self._handle)

    def runs(self) -> bool:
        return not select.select([self._handle], [], [], 0)[0]

    def has_ended(self) -> bool:
        """Whether it is gone, or goes within seconds: its file goes an instant before it does."""
        return bool(select.select([self._handle], [], [], 10)[0])


def test_a_server_keeps_its_data_and_leaves_no_process(empty_project: Path):
    with EmbeddedPostgres(empty_project).running() as server:
        process = Process(server)
        ask(server.url, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert process.has_ended()
    assert not (server.data / "postmaster.pid").exists()

    with EmbeddedPostgres(empty_project).running() as server:
        assert ask(server.url, "SELECT answer FROM kept") == 42


def test_the_socket_is_in_a_private_folder(project: Path):
    with EmbeddedPostgres(project).running() as server:
        assert ask(server.url, "SHOW listen_addresses") == ""
        socket = Path(str(server.url.query["host"]))
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
        assert server.data.is_relative_to(project / ".local")


def test_the_readers_login_may_read_and_nothing_else(project: Path):
    with EmbeddedPostgres(project).running() as server:
        assert ask(server.reader_url, f"SELECT pg_has_role('{READER_ROLE}', 'USAGE')") is True
        with pytest.raises(Exception, match="permission denied for schema public"):
            ask(server.reader_url, "CREATE TABLE forbidden (id int)")


def test_the_last_user_out_stops_the_server(project: Path):
    with EmbeddedPostgres(project).running() as first:
        process = Process(first)
        with EmbeddedPostgres(project).running() as second:
            assert Process(second).pid == process.pid
            assert second == first
        assert process.runs()
        assert ask(first.url, "SELECT 1") == 1
    assert process.has_ended()


def test_two_first_users_at_once_share_one_server(empty_project: Path):
    together = Barrier(2, timeout=60)

    def use() -> Process:
        together.wait()
        with EmbeddedPostgres(empty_project).running() as server:
            together.wait()
            return Process(server)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(use), pool.submit(use)
        assert first.result().pid == second.result().pid
    assert first.result().has_ended()


def test_a_server_left_over_by_a_killed_user_is_joined_and_stopped(
    project: Path, user_in_another_process: Callable[[], "subprocess.Popen[str]"]
):
    user = user_in_another_process()
    user.kill()
    user.wait()

    with EmbeddedPostgres(project).running() as server:
        process = Process(server)
        assert ask(server.url, "SELECT 1") == 1
    assert process.has_ended()


def test_a_user_in_another_process_keeps_the_server(
    project: Path, user_in_another_process: Callable[[], "subprocess.Popen[str]"]
):
    user = user_in_another_process()
    with EmbeddedPostgres(project).running() as server:
        process = Process(server)
    assert process.runs()

    user.communicate()
    assert user.returncode == 0
    assert process.has_ended()


@pytest.mark.slow
def test_a_killed_server_recovers_what_was_committed(project: Path):
    with EmbeddedPostgres(project).running() as server:
        ask(server.url, "CREATE TABLE kept AS SELECT 42 AS answer")
        socket = str(server.url.query["host"])
        held = psycopg2.connect(host=socket, port=PORT, user=OWNER, dbname=DATABASE)
        os.kill(Process(server).pid, signal.SIGKILL)
        with EmbeddedPostgres(project).running() as again:
            assert ask(again.url, "SELECT answer FROM kept") == 42
        held.close()


def test_a_reused_process_id_is_not_taken_for_the_server(project: Path):
    with EmbeddedPostgres(project).running() as server:
        lines = (server.data / "postmaster.pid").read_text().splitlines()
    (server.data / "postmaster.pid").write_text("\n".join([str(os.getpid()), *lines[1:]]))

    with EmbeddedPostgres(project).running() as again:
        assert Process(again).pid != os.getpid()


@pytest.mark.slow
def test_an_interrupted_first_start_is_repeated(empty_project: Path):
    (empty_project / ".local" / "postgres" / "data.new" / "base").mkdir(parents=True)

    with EmbeddedPostgres(empty_project).running() as server:
        assert ask(server.url, "SELECT 1") == 1
    assert not (empty_project / ".local" / "postgres" / "data.new").exists()


def test_a_data_folder_of_another_major_version_is_refused_and_left_alone(project: Path):
    with EmbeddedPostgres(project).running() as server:
        pass
    (server.data / "PG_VERSION").write_text("19\n")

    with (
        pytest.raises(
            ConfigurationError, match=r"written by PostgreSQL 19, but this release uses 18; export"
        ),
        EmbeddedPostgres(project).running(),
    ):
        pass
    assert (server.data / "PG_VERSION").read_text() == "19\n"


@pytest.mark.parametrize(
    "missing", sparse(["global/pg_control", "PG_VERSION", "pg_wal", "pg_xact"], 4)
)
def test_a_damaged_data_folder_is_refused_with_the_servers_reason(project: Path, missing: str):
    with EmbeddedPostgres(project).running() as server:
        pass
    lost = server.data / missing
    lost.rename(project / "lost")

    with (
        pytest.raises(ConfigurationError) as refused,
        EmbeddedPostgres(project).running(),
    ):
        pass
    assert Path(missing).name in str(refused.value) or str(server.log) in str(refused.value)
    assert "put a backup in its place, or move it away" in str(refused.value)

    lost.parent.mkdir(exist_ok=True)
    (project / "lost").rename(lost)
    with EmbeddedPostgres(project).running() as again:
        assert ask(again.url, "SELECT 1") == 1


@pytest.mark.slow
def test_a_path_too_long_for_a_socket_uses_the_temporary_folder(empty_project: Path):
    deep = empty_project / ("long" * 20) / ("long" * 20)
    deep.mkdir(parents=True)

    with EmbeddedPostgres(deep).running() as server:
        socket = Path(str(server.url.query["host"]))
        assert socket.parent == Path(tempfile.gettempdir())
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
        assert ask(server.url, "SELECT 1") == 1
    socket.chmod(0o777)

    with (
        pytest.raises(ConfigurationError, match="alone may enter"),
        EmbeddedPostgres(deep).running(),
    ):
        pass
    socket.rmdir()


@pytest.mark.parametrize(
    "name", sparse(['it\'s $HOME `x` "q" %41 \\', "with spaces", "a,b:c", "Börse"], 4)
)
def test_any_folder_name_works(empty_project: Path, name: str):
    folder = empty_project / name
    folder.mkdir()

    with EmbeddedPostgres(folder).running() as server:
        assert ask(server.url, "SELECT 1") == 1
        assert ask(server.reader_url, "SELECT 1") == 1
        assert ask(make_url(server.url.render_as_string(hide_password=False)), "SELECT 1") == 1
    socket = Path(str(server.url.query["host"]))
    if not socket.is_relative_to(folder):
        socket.rmdir()


def test_a_folder_that_cannot_be_used_is_named(empty_project: Path):
    (empty_project / ".local" / "postgres" / "lock").mkdir(parents=True)

    with (
        pytest.raises(ConfigurationError, match=r"postgres/lock': Is a directory"),
        EmbeddedPostgres(empty_project).running(),
    ):
        pass


def test_without_the_package_the_message_says_how_to_get_it(
    empty_project: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, PACKAGE, None)

    with (
        pytest.raises(ConfigurationError, match=r"pip install 'kasparro-etl\[local\]', or set"),
        EmbeddedPostgres(empty_project).running(),
    ):
        pass


def test_a_long_log_is_rotated_at_a_whole_line(project: Path):
    with EmbeddedPostgres(project).running() as server:
        pass
    with server.log.open("a") as log:
        log.write("an old line\n" * 200_000 + "the last line\n")
    before = server.log.read_text()

    with EmbeddedPostgres(project).running():
        pass
    assert server.log.with_name("server.log.1").read_text() == before
    assert server.log.read_text().endswith("database system is shut down\n")


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")
def test_below_a_private_folder_roots_server_uses_the_system_folder_and_changes_no_mode(
    empty_project: Path,
):
    closed = empty_project / "closed"
    closed.mkdir(mode=0o700)
    before = [(path.stat().st_mode, path.stat().st_uid) for path in (empty_project, closed)]

    with EmbeddedPostgres(closed).running() as server:
        assert server.data.is_relative_to(SYSTEM_FOLDER)
        assert server.data.stat().st_uid != 0
        ask(server.url, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert [(path.stat().st_mode, path.stat().st_uid) for path in (empty_project, closed)] == before
    assert list(closed.iterdir()) == []

    closed.chmod(0o755)
    with EmbeddedPostgres(closed).running() as again:
        assert again.data == server.data
        assert ask(again.url, "SELECT answer FROM kept") == 42
    shutil.rmtree(server.data.parent.parent)
