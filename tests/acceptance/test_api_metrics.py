"""`/metrics` under gunicorn: two processes that count together, whatever becomes of either."""

import json
import os
import re
import signal
import socket
import threading
from pathlib import Path

import pytest
import requests
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from tests.fakes.cases import sparse
from tests.fakes.gunicorn import serving, until

PREFIX = "kasparro-api-metrics-"


def scrape(gunicorn):
    answer = gunicorn.get("/metrics")
    assert answer.status_code == 200, answer.text
    samples = [
        sample
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    ]
    found = {(sample.name, *sorted(sample.labels.items())): sample.value for sample in samples}
    assert len(found) == len(samples), "a series is there twice"
    return found


def lives(found):
    """How often `/health/live` was answered, as three metrics have it."""
    route = ("route", "/health/live")
    counted = ("kasparro_http_requests_total", ("method", "GET"), route, ("status", "200"))
    timed = [
        ("kasparro_http_request_duration_seconds_count", route),
        ("kasparro_http_request_duration_seconds_bucket", ("le", "+Inf"), route),
    ]
    values = {found.get(name, 0) for name in (counted, *timed)}
    assert len(values) == 1, values
    return values.pop()


def answering(gunicorn):
    """Which processes have answered so far, by the files that they count in."""
    folder = folder_of(gunicorn)
    return {int(file.stem.rpartition("_")[2]) for file in folder.glob("counter_[0-9]*.db")}


def folder_of(gunicorn) -> Path:
    files = [file.readlink() for file in Path(f"/proc/{gunicorn.process.pid}/fd").iterdir()]
    [folder] = [file.parent for file in files if PREFIX in str(file)]
    return folder


@pytest.fixture
def gunicorn(reader_url, tmp_path):
    with serving(reader_url, tmp_path) as gunicorn:
        until(lambda: len(gunicorn.workers) == 2)
        yield gunicorn


def ask_until_both_answered(gunicorn):
    asked = 0

    def both():
        nonlocal asked
        asked += 1
        assert gunicorn.get("/health/live").ok
        return answering(gunicorn) >= set(gunicorn.workers)

    until(both)
    return asked


def test_both_processes_counts_add_up_whoever_is_asked(shared_gunicorn):
    before = lives(scrape(shared_gunicorn))
    asked = ask_until_both_answered(shared_gunicorn)

    for _ in range(10):
        found = scrape(shared_gunicorn)
        assert lives(found) == before + asked
        assert found[("kasparro_http_requests_in_progress",)] == 1
        assert found[("kasparro_api_processes",)] == 2
        assert found[("kasparro_database_up",)] == 1
        assert found[("kasparro_database_connections_in_use",)] == 0
    asked_for = {"Accept": "application/openmetrics-text; version=1.0.0"}
    families = list(parse_openmetrics(shared_gunicorn.get("/metrics", headers=asked_for).text))
    assert "kasparro_http_request_duration_seconds" in {family.name for family in families}
    assert all(family.documentation for family in families)


@pytest.mark.parametrize("how", sparse(["SIGKILL", "SIGTERM"], 2))
def test_what_a_process_counted_outlives_it(gunicorn, how):
    before = lives(scrape(gunicorn))
    asked = ask_until_both_answered(gunicorn)
    first = scrape(gunicorn)

    for _ in range(2):
        for pid in list(gunicorn.workers):
            os.kill(pid, getattr(signal, how))
            until(lambda pid=pid: pid not in gunicorn.workers and len(gunicorn.workers) == 2)

    second = scrape(gunicorn)
    assert lives(second) == before + asked
    assert second[("process_cpu_seconds_total",)] >= first[("process_cpu_seconds_total",)]
    assert second[("kasparro_http_requests_in_progress",)] == 1
    assert second[("kasparro_database_connections_in_use",)] == 0
    asked += ask_until_both_answered(gunicorn)
    assert lives(scrape(gunicorn)) == before + asked
    files = [file.name for file in folder_of(gunicorn).glob("*.db")]
    assert len([name for name in files if name.startswith("counter_")]) <= 3, files


@pytest.mark.slow
def test_what_a_killed_process_was_at_is_under_way_no_longer(gunicorn, engine):
    def ask():
        with pytest.raises(requests.ConnectionError):
            gunicorn.get("/data/bitcoin")

    request = threading.Thread(target=ask)
    with engine.connect() as conn:
        conn.execute(text("LOCK assets IN ACCESS EXCLUSIVE MODE"))
        request.start()
        until(lambda: conn.scalar(text("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")))
        for pid in list(gunicorn.workers):
            os.kill(pid, signal.SIGKILL)
            until(lambda pid=pid: pid not in gunicorn.workers and len(gunicorn.workers) == 2)
        conn.rollback()
    request.join()

    found = scrape(gunicorn)
    assert found[("kasparro_http_requests_in_progress",)] == 1
    assert found[("kasparro_database_connections_in_use",)] == 0


@pytest.mark.slow
def test_a_reload_keeps_the_counts_and_the_number_of_files(gunicorn):
    before = lives(scrape(gunicorn))
    asked = ask_until_both_answered(gunicorn)

    for _ in range(3):
        old = set(gunicorn.workers)
        gunicorn.process.send_signal(signal.SIGHUP)
        until(lambda old=old: len(gunicorn.workers) == 2 and not old & set(gunicorn.workers))

    assert lives(scrape(gunicorn)) == before + asked
    files = [file.name for file in folder_of(gunicorn).glob("counter_*.db")]
    assert len(files) <= 3, files


def test_a_start_counts_from_0_and_removes_what_a_killed_one_left(reader_url, tmp_path):
    with serving(reader_url, tmp_path) as gunicorn:
        folder = folder_of(gunicorn)
        workers = gunicorn.workers
        gunicorn.process.kill()
        gunicorn.process.wait()
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))

    with serving(reader_url, tmp_path) as gunicorn:
        assert not folder.exists()
        asked = [line for line in gunicorn.lines() if line.get("route") == "/health/live"]
        assert lives(scrape(gunicorn)) == len(asked)
        other = folder_of(gunicorn)
    assert not other.exists()


@pytest.mark.slow
def test_two_apis_count_apart(reader_url, tmp_path):
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    with serving(reader_url, folders[0]) as one, serving(reader_url, folders[1]) as other:
        before = lives(scrape(other))
        for _ in range(5):
            one.get("/health/live")
        assert lives(scrape(other)) == before
        assert folder_of(one) != folder_of(other)


@pytest.mark.parametrize(
    ("says", "status"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /" + b"a" * (1 << 16), 414),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\n\n", 400),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * (1 << 16), 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n", 413),
    ],
    ids=["long line", "endless line", "nonsense", "bare line feeds", "long head", "long body"],
)
def test_what_never_comes_to_the_application_is_counted_and_logged_too(
    shared_gunicorn, says, status
):
    refused = (
        "kasparro_http_requests_total",
        *(("method", "other"), ("route", "unmatched"), ("status", str(status))),
    )
    before = scrape(shared_gunicorn).get(refused, 0)
    shared_gunicorn.get("/health/live", headers={"X-Request-Id": "another"})
    with socket.create_connection(("127.0.0.1", shared_gunicorn.port), timeout=60) as client:
        client.sendall(says)
        with client.makefile("rb") as answer:
            head, _, body = answer.read().partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert scrape(shared_gunicorn)[refused] == before + 1
    request_id = json.loads(body)["request_id"]
    [line] = [line for line in shared_gunicorn.lines() if line.get("request_id") == request_id]
    told = {name: line[name] for name in line if name != "timestamp"}
    assert told == {
        "event": "request",
        "level": "info",
        "logger": "api.request.access",
        "request_id": request_id,
        "method": None,
        "route": None,
        "status": status,
        "client": "127.0.0.1",
    }


def test_a_caller_finds_its_trace_in_the_log_and_the_answer(shared_gunicorn):
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    given = {"traceparent": f"00-{trace}-{parent}-01", "tracestate": "a=1", "User-Agent": "x\x9by"}

    answer = shared_gunicorn.get("/data", headers=given)

    assert answer.headers["tracestate"] == "a=1"
    version, same, span, flags = answer.headers["traceparent"].split("-")
    assert (version, same, flags) == ("00", trace, "01")
    [line] = [line for line in shared_gunicorn.lines() if line.get("trace_id") == trace]
    assert (line["parent_id"], line["span_id"]) == (parent, span)
    assert line["user_agent"] == "x\x9by"
    assert "\x9b" not in shared_gunicorn.log.read_text()
    parts = dict(re.findall(r"(\w+);dur=([0-9.]+)", answer.headers["Server-Timing"]))
    assert {"db", "app", "total"} <= set(parts)
    assert float(parts["db"]) <= float(parts["total"])
    assert line["db_ms"] > 0
