"""Rate limits: counting, the `RateLimit` headers and 429."""

import os
import re
import shutil
import socket
import subprocess
import time

import pytest

from api.middleware.counters import BUCKET, ENTRIES, ENTRY, SharedCounters
from api.middleware.limits import Limiter, address
from tests.fakes.api import api_on

HOUR = {"API_RATE_LIMIT": "3/hour"}  # no window ends while a test runs


@pytest.fixture
def client(reader_url):
    with api_on(reader_url, **HOUR) as client:
        yield client


def ask(client, path="/data", address="192.0.2.1", **headers):
    return client.get(path, headers=headers, environ_base={"REMOTE_ADDR": address})


def test_every_answer_says_what_is_left_and_beyond_it_there_are_none(client):
    answers = [ask(client) for _ in range(5)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"default";q=3;w=3600'}
    for answer, left in zip(answers, (2, 1, 0, 0, 0), strict=True):
        told = re.fullmatch(r'"default";r=(\d+);t=(\d+)', answer.headers["RateLimit"])
        assert told
        assert int(told[1]) == left
        assert 0 < int(told[2]) <= 3600
    refused = answers[-1]
    assert refused.content_type == "application/problem+json"
    assert refused.json["code"] == "rate_limited"
    assert refused.headers["RateLimit"].endswith(f";t={refused.headers['Retry-After']}")
    assert "Retry-After" not in answers[0].headers


def test_clients_are_counted_apart_by_address_and_ipv6_by_the_network_of_a_host(client):
    for _ in range(4):
        ask(client)

    assert ask(client).status_code == 429
    assert ask(client, address="192.0.2.2").status_code == 200
    for host in ("1", "2", "ffff:2:3"):
        assert ask(client, address=f"2001:db8:0:1::{host}").status_code == 200
    assert ask(client, address="2001:db8:0:1::9").status_code == 429
    assert ask(client, address="2001:db8:0:2::1").status_code == 200


def test_errors_count_too(client):
    paths = ("/nowhere", "/data?nonsense=1", "/data/nothing")

    assert [ask(client, path).status_code for path in paths] == [404, 400, 404]
    assert ask(client).status_code == 429


def test_the_probes_are_neither_limited_nor_counted(client):
    for _ in range(5):
        for path in ("/health/live", "/health/ready"):
            answer = ask(client, path)
            assert answer.status_code == 200
            assert "RateLimit" not in answer.headers
    assert ask(client).headers["RateLimit"].startswith('"default";r=2;')


def test_on_this_machine_alone_nobody_is_limited(reader_url):
    with api_on(reader_url) as client:
        assert "RateLimit" not in ask(client).headers


def test_what_a_client_says_of_its_address_counts_only_where_a_proxy_is_declared(reader_url):
    def from_behind(client, forwarded):
        return ask(client, **{"X-Forwarded-For": forwarded}).headers["RateLimit"][:13]

    with api_on(reader_url, **HOUR) as client:
        assert from_behind(client, "198.51.100.1") == '"default";r=2'
        assert from_behind(client, "198.51.100.2") == '"default";r=1'
    with api_on(reader_url, **HOUR, API_TRUSTED_PROXIES="1") as client:
        assert from_behind(client, "198.51.100.1") == '"default";r=2'
        assert from_behind(client, "198.51.100.2") == '"default";r=2'
        assert from_behind(client, "10.1.1.1, 198.51.100.2") == '"default";r=1'
    with api_on(reader_url, **HOUR, API_TRUSTED_PROXIES="2") as client:
        assert from_behind(client, "203.0.113.1, 198.51.100.1, 10.0.0.1") == '"default";r=2'
        assert from_behind(client, "203.0.113.2, 198.51.100.1, 10.0.0.2") == '"default";r=1'


@pytest.mark.parametrize(
    ("remote", "counted"),
    [
        ("192.0.2.1", "address/192.0.2.1"),
        ("::ffff:192.0.2.1", "address/192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "address/2001:db8:1:2::/64"),
        ("fe80::1%eth0", "address/fe80::/64"),
        ("192.0.2.1:4711", "address/192.0.2.1"),
        ("[2001:db8:1:2::1]:4711", "address/2001:db8:1:2::/64"),
        ("[2001:db8:1:2::1]", "address/2001:db8:1:2::/64"),
        ("[fe80::1%eth0]:4711", "address/fe80::/64"),
        ("[::ffff:192.0.2.1]:4711", "address/192.0.2.1"),
        ("2001:db8:1:2::4711", "address/2001:db8:1:2::/64"),
        ("unknown", "address/unknown"),
        ("_hidden:1", "address/_hidden:1"),
        ("", "address/"),
        ("x" * 1000, "address/" + "x" * 64),
    ],
)
def test_an_address_is_counted_as(remote, counted):
    assert address(remote) == counted


def test_a_window_that_is_over_begins_anew():
    counters = SharedCounters()

    assert [counters.incr("a", 3600) for _ in range(3)] == [1, 2, 3]
    assert counters.incr("b", 0) == 1
    assert counters.incr("b", 0) == 1
    assert counters.get("b") == 0
    assert counters.get_expiry("a") - time.time() > 3500
    counters.clear("a")
    assert counters.get("a") == 0


def test_processes_and_threads_count_together_and_a_killed_one_holds_nothing_up():
    counters = SharedCounters()
    children = []
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            for _ in range(1000):
                counters.incr("a", 3600)
            os._exit(0)
        children.append(pid)
    endless = os.fork()
    if endless == 0:
        while True:
            counters.incr("b", 3600)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
    os.kill(endless, 9)
    os.waitpid(endless, 0)

    assert counters.get("a") == 3000
    before = counters.get("b")
    assert counters.incr("b", 3600) == before + 1


@pytest.mark.slow
def test_with_more_clients_than_there_is_room_for_the_busiest_are_still_counted():
    counters = SharedCounters()
    for _ in range(5):
        counters.incr("busy", 3600)
    for number in range(2 * ENTRIES):
        counters.incr(f"client {number}", 3600)

    assert counters.get("busy") == 5
    assert sum(counters.get(f"client {n}") for n in range(2 * ENTRIES)) <= ENTRIES


def test_whatever_is_in_the_counters_memory_they_count_on():
    counters = SharedCounters()
    size = ENTRIES * ENTRY.size
    counters.memory[:] = os.urandom(size)

    counted = [counters.incr("a", 3600) for _ in range(BUCKET * 2)]
    assert counted == list(range(1, BUCKET * 2 + 1))


def test_while_redis_is_away_this_machine_counts(caplog):
    pytest.importorskip("redis")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    limiter = Limiter("2/hour", f"redis://127.0.0.1:{port}/0")

    quotas = [limiter.count("address/192.0.2.9") for _ in range(3)]

    assert [quota.exceeded for quota in quotas] == [False, False, True]
    [line] = [record for record in caplog.records if record.name == "api.middleware.limits"]
    assert "could not be reached" in line.message


@pytest.fixture
def redis_url(tmp_path):
    server = os.environ.get("REDIS_SERVER") or shutil.which("redis-server")
    if server is None:
        pytest.skip("no redis-server is installed here")
    pytest.importorskip("redis")
    listening = tmp_path / "redis"
    command = [server, "--port", "0", "--unixsocket", str(listening), "--save", "", "--dir"]
    with subprocess.Popen([*command, str(tmp_path)], stdout=subprocess.DEVNULL) as process:
        while not listening.exists():
            assert process.poll() is None
        yield f"redis+unix://{listening}"
        process.terminate()


def test_a_redis_counts_for_several_machines(redis_url):
    machines = [Limiter("3/hour", redis_url) for _ in range(2)]

    quotas = [machines[n % 2].count("address/192.0.2.9") for n in range(5)]

    assert [quota.remaining for quota in quotas] == [2, 1, 0, 0, 0]
    assert [quota.exceeded for quota in quotas] == [False] * 3 + [True] * 2
    assert all(3500 < quota.seconds <= 3600 for quota in quotas)
