"""The worker's own `/metrics`: the loop as a real process, read over HTTP."""

import contextlib
import signal
import socket
import time

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from shared.environment import SAMPLE_CSV
from tests.fakes.answers import payment_required, real, status
from tests.fakes.forked_worker import WarmWorker
from tests.fakes.processes import environ, run_worker
from tests.fakes.upstream import Upstream
from worker.database.locks import locked

GIVE_UP = 60


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@contextlib.contextmanager
def looping(url, upstream, folder, port, **settings):
    env = environ(url, upstream, METRICS_PORT=port, RUN_INTERVAL_SECONDS=1, **settings)
    process = WarmWorker("run", env, folder)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=GIVE_UP)
        assert process.returncode == 0, log


def read(process, port, until):
    """Scrape until something holds; return the samples by name and labels, and the families."""
    give_up = time.monotonic() + GIVE_UP
    while time.monotonic() < give_up:
        assert process.poll() is None, process.err
        with contextlib.suppress(requests.RequestException):
            answer = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=GIVE_UP)
            families = list(text_string_to_metric_families(answer.text))
            samples = [sample for family in families for sample in family.samples]
            found = {(each.name, *sorted(each.labels.items())): each.value for each in samples}
            assert len(found) == len(samples)
            if until(found):
                return found, families
        time.sleep(0.05)
    pytest.fail("waited in vain")


def of(found, name, **labels):
    return found.get((f"kasparro_worker_{name}", *sorted(labels.items())), 0)


def test_the_loop_tells_what_it_did(database_url, tmp_path):
    port = free_port()
    with Upstream(assets=30) as upstream:
        upstream.answers(status(503), real())
        # Named, the sample is read though a provider has been.
        chosen = {"SOURCES": "coinpaprika,csv", "CSV_PATH": SAMPLE_CSV}
        with looping(database_url, upstream, tmp_path, port, **chosen) as process:
            found, families = read(
                process, port, lambda found: of(found, "last_pass_timestamp_seconds") > 0
            )

    paprika = {"source": "coinpaprika"}
    assert of(found, "runs_total", **paprika, outcome="succeeded") >= 1
    assert of(found, "records_total", **paprika, result="new") == 30
    assert of(found, "records_total", source="csv", result="new") == 100
    assert of(found, "upstream_requests_total", **paprika, status="503") == 1
    assert of(found, "upstream_requests_total", **paprika, status="200") >= 1
    assert of(found, "upstream_retries_total", **paprika) == 1
    assert of(found, "upstream_wait_seconds_total", **paprika) > 0
    assert of(found, "batch_duration_seconds_count", **paprika) >= 1
    assert of(found, "run_duration_seconds_count", **paprika) >= 1
    assert of(found, "last_success_timestamp_seconds", **paprika) <= time.time()
    assert [family.name for family in families if not family.documentation] == []
    assert any(name == "process_cpu_seconds_total" for name, *_ in found)
    [build] = [dict(labels) for name, *labels in found if name == "kasparro_worker_build_info"]
    assert set(build) == {"version", "schema_revision", "python"}


def test_what_goes_wrong_is_counted_by_outcome(database_url, tmp_path, engine):
    port, paprika = free_port(), {"source": "coinpaprika"}
    with Upstream(assets=30) as upstream:
        upstream.always(payment_required())
        with looping(database_url, upstream, tmp_path, port, SOURCES="coinpaprika") as process:
            failed, _ = read(
                process, port, lambda found: of(found, "runs_total", **paprika, outcome="failed")
            )
            with locked(engine, "coinpaprika"):
                read(
                    process,
                    port,
                    lambda found: of(found, "runs_total", **paprika, outcome="locked"),
                )

    assert of(failed, "upstream_requests_total", **paprika, status="402") >= 1
    assert of(failed, "last_success_timestamp_seconds", **paprika) == 0


def test_without_a_port_nothing_listens_and_with_a_taken_one_it_does_not_start(
    database_url, tmp_path
):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        env = environ(database_url, None, METRICS_PORT=port, SOURCES="csv")
        ended = run_worker("run", env, tmp_path)

        assert ended.returncode == 2
        assert f"cannot listen at 127.0.0.1:{port}" in ended.stderr

        once = run_worker("run --once", env, tmp_path)
        assert once.returncode == 0, "one pass serves nothing"
