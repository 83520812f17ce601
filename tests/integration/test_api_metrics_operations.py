"""`/metrics` of the sources: runs, rejects, drift and budgets; and that Prometheus reads it."""

from datetime import timedelta

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from sqlalchemy import func, insert, text

from shared.schema.operations import drift, rejects, request_budgets
from shared.schema.raw import RAW
from tests.fakes.api import add_asset, add_checkpoint, add_listing, add_run, api_on
from tests.fakes.metrics import of, scrape


@pytest.fixture
def loading(engine):
    """A source with a good run and a failed one, rejects, drift and a budget."""
    with engine.begin() as conn:
        now = conn.scalar(func.now())
        asset = add_asset(conn, "bitcoin")
        add_listing(conn, asset, "coingecko", "bitcoin")
        ago = [now - timedelta(seconds=seconds) for seconds in (60, 50, 40, 30)]
        add_run(conn, started_at=ago[0], finished_at=ago[1])
        run = add_run(
            conn,
            outcome="failed",
            reason="unreachable",
            started_at=ago[2],
            finished_at=ago[3],
            records_fetched=7,
            records_new=4,
            records_unchanged=2,
            records_rejected=1,
        )
        add_run(conn, outcome="running", started_at=now, finished_at=None)
        add_checkpoint(
            conn,
            run,
            records_fetched=70,
            records_new=40,
            records_unchanged=20,
            records_rejected=10,
            last_success_at=ago[1],
            last_failure_at=ago[3],
        )
        conn.execute(
            insert(RAW["coingecko"]).values(
                observed_at=ago[0], run_id=run, external_id="x", payload_hash=b"x", payload={}
            )
        )
        seen = {"source": "coingecko", "first_run_id": run, "last_run_id": run}
        for number in range(3):
            reject = {"position": "1", "reasons": ["x"], "payload": b"", **seen}
            resolved = now if number == 0 else None
            conn.execute(
                insert(rejects).values(**reject, payload_hash=bytes([number]), resolved_at=resolved)
            )
            differs = {"kind": "appeared", "detail": {}, "records": 1, **seen}
            conn.execute(
                insert(drift).values(
                    **differs, path=str(number), acknowledged_at=now if number else None
                )
            )
        conn.execute(
            insert(request_budgets).values(
                source="coingecko",
                month=func.date_trunc("month", func.timezone("UTC", func.now())),
                requests=69,
                next_request_at=now,
            )
        )
    return {"good": ago[1], "bad": ago[3], "observed": ago[0]}


@pytest.mark.parametrize(
    ("accept", "content_type", "parse"),
    [
        (None, "text/plain; version=0.0.4; charset=utf-8", parse_text),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", parse_text),
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
            parse_openmetrics,
        ),
        (
            "text/plain;version=0.0.4;q=0.9,application/openmetrics-text;version=1.0.0;q=0.1",
            "text/plain; version=0.0.4; charset=utf-8",
            parse_text,
        ),
    ],
)
@pytest.mark.usefixtures("loading")
def test_prometheus_reads_it_in_the_format_that_it_asks_for(client, accept, content_type, parse):
    client.get("/data")
    client.get("/nowhere")

    answer = client.get("/metrics", headers={"Accept": accept} if accept else {})

    assert answer.content_type == content_type
    assert "Accept" in answer.headers["Vary"]
    families = list(parse(answer.text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    for family in families:
        assert family.documentation, family
        assert family.type in {"counter", "gauge", "histogram", "info"}, family
        assert family.name.startswith(("kasparro_", "process_")), family


def test_one_scrape_returns_the_state_of_every_source(client, loading):
    found = scrape(client)

    def source(name, **labels):
        return of(found, f"kasparro_source_{name}", source="coingecko", **labels)

    assert of(found, "kasparro_database_up") == 1
    assert of(found, "kasparro_schema_as_expected") == 1
    assert of(found, "kasparro_assets") == 1
    assert of(found, "kasparro_listings") == 1
    assert of(found, "kasparro_dataset_version") > 0
    times = {
        "last_success_timestamp_seconds": loading["good"],
        "last_failure_timestamp_seconds": loading["bad"],
        "last_run_timestamp_seconds": loading["bad"],
        "newest_observation_timestamp_seconds": loading["observed"],
    }
    for name, at in times.items():
        assert source(name) == pytest.approx(at.timestamp(), rel=0, abs=0.001), name
    assert 60 <= source("lag_seconds") < 600
    assert source("freshness_target_seconds") == 3 * (300 + 10)
    judged = {status: source("status", status=status) for status in ("pass", "warn", "fail")}
    assert judged == {"pass": 0, "warn": 1, "fail": 0}
    assert source("trouble", reason="unreachable") == 1
    assert source("run_in_progress") == 1
    assert source("last_run_duration_seconds") == 10
    last = {name: source("last_run_records", result=name) for name in ("new", "unchanged")}
    assert last == {"new": 4, "unchanged": 2}
    records = ("new", "unchanged", "rejected")
    totals = [source("records_total", result=name) for name in records]
    assert totals == [40, 20, 10]
    outcomes = [source("recent_runs", outcome=name) for name in ("succeeded", "partial", "failed")]
    assert outcomes == [1, 0, 1]
    assert source("open_rejects") == 2
    assert source("open_drift") == 1
    assert source("requests_this_month") == 69


def test_a_source_that_never_ran_has_no_times_but_a_status(client):
    found = scrape(client)

    assert of(found, "kasparro_source_status", source="csv", status="warn") == 1
    assert of(found, "kasparro_source_trouble", source="csv", reason="no_run") == 1
    assert of(found, "kasparro_source_lag_seconds", source="csv") is None
    assert of(found, "kasparro_source_last_success_timestamp_seconds", source="csv") is None
    assert of(found, "kasparro_source_records_total", source="csv", result="new") == 0
    assert of(found, "kasparro_dataset_version") == 0


def test_the_requests_of_a_month_that_is_over_are_not_this_months(client, engine):
    with engine.begin() as conn:
        conn.execute(
            insert(request_budgets).values(
                source="coingecko", month="2001-01-01", requests=5, next_request_at=func.now()
            )
        )

    assert of(scrape(client), "kasparro_source_requests_this_month", source="coingecko") == 0


def test_without_a_database_it_says_so_and_shows_the_rest(reader_url):
    with api_on(reader_url.set(database="nowhere")) as client:
        client.get("/data")
        found = scrape(client)

    assert of(found, "kasparro_database_up") == 0
    assert of(found, "kasparro_database_failures_total", code="database_unavailable") == 1
    assert of(found, "process_cpu_seconds_total") > 0
    assert of(found, "process_resident_memory_bytes") > 0
    assert of(found, "kasparro_assets") is None


def test_another_schema_is_no_failure_of_the_scrape(client, engine):
    with engine.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    found = scrape(client)
    assert of(found, "kasparro_schema_as_expected") == 0
    assert of(found, "kasparro_database_up") == 1

    with engine.begin() as conn:
        conn.execute(text("DROP TABLE alembic_version"))
    assert of(scrape(client), "kasparro_database_up") == 1
