"""The loading as the API shows it: the worker really runs, is killed, and goes on."""

import signal

from tests.fakes.gunicorn import serving
from tests.fakes.processes import environ, run_worker
from tests.fakes.upstream import Upstream

LOAD = "run --once --source coingecko"


def test_a_killed_run_and_the_one_after_it_are_shown_compared_and_explained(
    database_url, reader_url, tmp_path
):
    with Upstream(assets=600) as upstream:
        env = environ(database_url, upstream)
        assert run_worker(LOAD, env, tmp_path).returncode == 0
        upstream.market.tick()
        killed = run_worker(LOAD, {**env, "FAULT": "after_commit:2"}, tmp_path)
        assert killed.returncode == -signal.SIGKILL
        assert run_worker(LOAD, env, tmp_path).returncode == 0
        upstream.market.coins[0].name = ""
        upstream.market.tick()
        assert run_worker(LOAD, env, tmp_path).returncode == 0

    with serving(reader_url, tmp_path) as gunicorn:

        def data(url):
            answer = gunicorn.get(url)
            assert answer.status_code == 200, answer.text
            return answer.json()["data"]

        listed = data("/runs?source=coingecko")
        cut_off, resumed = data("/runs/2"), data("/runs/3")
        compared = data("/runs/compare?a=1&b=4")
        [refused] = data("/rejects")
        [coingecko] = [each for each in data("/stats")["sources"] if each["open_rejects"]]

    assert [(run["id"], run["outcome"], run["reason"]) for run in listed] == [
        (4, "succeeded", None),
        (3, "succeeded", None),
        (2, "failed", "interrupted"),
        (1, "succeeded", None),
    ]
    assert cut_off["batches"] == 2
    assert cut_off["phase_seconds"]["load"] > 0
    assert cut_off["anomalies"] is None
    assert resumed["cursor_before"] is not None
    assert cut_off["records"]["fetched"] + resumed["records"]["fetched"] == 600
    assert (
        cut_off["prices_compared"] + resumed["prices_compared"]
        == compared["moved"]["total"] + 1  # the one that run 4 refused
    )
    assert compared["change"]["records"]["rejected"] == 1
    assert compared["vanished"] is None
    assert compared["not_observed_anew"]["total"] == 1  # it was refused, and is not gone
    assert refused["last_run_id"] == 4
    assert refused["payload_preview"].startswith('{"id":')
    assert coingecko["source"] == "coingecko"
    assert coingecko["last_run"]["id"] == 4
