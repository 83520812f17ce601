import json
import os
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, select, update
from sqlalchemy.engine import URL

from shared.schema.base import SCHEMA_REVISION
from shared.schema.market import assets
from shared.schema.operations import checkpoints, runs
from tests.fakes.answers import status
from tests.fakes.processes import environ, run_command, run_worker
from tests.fakes.upstream import Upstream
from worker.maintenance.verify import verify

DATA = Path(__file__).resolve().parent.parent.parent / "data"


def test_one_pass_loads_every_source_and_says_what_it_counted(
    engine: Engine, database_url: URL, tmp_path: Path
):
    with Upstream(assets=300) as upstream:
        env = environ(database_url, upstream)
        ran = run_command("run --once", env, tmp_path)

        assert ran.returncode == 0, ran.stderr
        assert "coinpaprika: run 2 succeeded: 300 fetched = 300 new" in ran.stdout
        assert "coingecko: run 3 succeeded: 300 fetched = 300 new" in ran.stdout
        assert "csv: run 1 succeeded: 100 fetched = 100 new" in ran.stdout
        assert "coingecko_coins: run 4 succeeded: 300 fetched = 300 new" in ran.stdout
        assert "coinpaprika_contracts: run 5 succeeded" in ran.stdout
        report = verify(engine)
        assert not report.findings

        again = run_command("run --once", env, tmp_path)

    assert again.returncode == 0
    assert verify(engine).fingerprint == report.fingerprint
    with engine.connect() as conn:
        repeated = conn.execute(select(runs).where(runs.c.id > 5).order_by(runs.c.id)).all()
    assert [(run.source, run.records_new) for run in repeated] == [
        ("csv", 0),
        ("coinpaprika", 0),
        ("coingecko", 0),
    ]
    assert repeated[2].pages_not_modified == 3


def test_sources_that_are_away_are_told_and_the_rest_is_loaded(database_url: URL, tmp_path: Path):
    with Upstream(assets=10) as upstream:
        upstream.always(status(402))
        env = environ(database_url, upstream, SOURCES="coinpaprika,csv")
        ran = run_worker("run --once", env, tmp_path)

    assert ran.returncode == 1
    assert "coinpaprika: run 1 failed (payment_required: " in ran.stdout
    assert "csv: run 2 succeeded: 100 fetched" in ran.stdout
    shown = run_worker("status --json", env, tmp_path)
    assert shown.returncode == 0, shown.stderr
    told = {row["source"]: row for row in json.loads(shown.stdout)["sources"]}
    assert told["coinpaprika"]["outcome"] == "failed"
    assert told["coinpaprika"]["reason"] == "payment_required"
    assert told["coinpaprika"]["last_failure_at"]
    assert told["csv"]["outcome"] == "succeeded"


def test_an_empty_answer_where_there_were_records_is_a_failure(
    engine: Engine, database_url: URL, tmp_path: Path
):
    with Upstream(assets=300) as upstream:
        env = environ(database_url, upstream, SOURCES="coingecko")
        assert run_worker("run --once", env, tmp_path).returncode == 0
        before = verify(engine).fingerprint

        upstream.market.tick()
        upstream.answers(status(200, []))
        ran = run_worker("run --once", env, tmp_path)

    assert ran.returncode == 1
    assert "failed (empty_answer: coingecko: the response has no records; about 300 " in ran.stdout
    assert verify(engine).fingerprint == before


def test_a_snapshot_that_breaks_off_early_is_partial(database_url: URL, tmp_path: Path):
    with Upstream(assets=600) as upstream:
        env = environ(database_url, upstream, SOURCES="coingecko")
        assert run_worker("run --once", env, tmp_path).returncode == 0

        upstream.market.tick()
        upstream.answers(status(200, []), page=2)
        ran = run_worker("run --once", env, tmp_path)

    assert ran.returncode == 1
    assert "partial (fewer_records: coingecko: 250 records, but about 600 were" in (ran.stdout)


def test_a_count_left_over_from_a_run_that_died_does_not_hide_an_empty_answer(
    engine: Engine, database_url: URL, tmp_path: Path
):
    with Upstream(assets=300) as upstream:
        env = environ(database_url, upstream, SOURCES="coinpaprika")
        assert run_worker("run --once", env, tmp_path).returncode == 0
        with engine.begin() as conn:  # as if killed between the last batch and the run's end
            conn.execute(update(checkpoints).values(snapshot_progress=300))
            conn.execute(update(runs).values(outcome="running", finished_at=None))

        upstream.market.tick()
        upstream.answers(status(200, []))
        ran = run_worker("run --once", env, tmp_path)

    assert ran.returncode == 1
    assert "failed (empty_answer: " in ran.stdout


def test_an_import_first_does_not_hide_an_empty_answer_later(database_url: URL, tmp_path: Path):
    with Upstream(assets=10) as upstream:
        env = environ(database_url, upstream, SOURCES="coingecko")
        run_worker(f'import coingecko "{DATA / "coingecko_markets.json"}"', env, tmp_path)
        upstream.answers(status(200, []))

        assert run_worker("run --once", env, tmp_path).returncode == 1


@pytest.mark.slow
def test_a_source_that_answers_a_little_less_each_time_does_not_set_its_own_standard(
    database_url: URL, tmp_path: Path
):
    with Upstream(assets=1100) as upstream:
        env = environ(database_url, upstream, SOURCES="coingecko")
        assert run_worker("run --once", env, tmp_path).returncode == 0
        codes = []
        for last in (5, 4, 3):
            upstream.market.tick()
            upstream.answers(status(200, []), page=last)
            codes.append(run_worker("run --once", env, tmp_path).returncode)

        assert codes == [0, 1, 1]
        run_worker("checkpoint clear coingecko", env, tmp_path)
        upstream.answers(status(200, []), page=3)
        assert run_worker("run --once", env, tmp_path).returncode == 0


def test_pages_that_did_not_change_count_when_rejects_are_weighed(
    database_url: URL, tmp_path: Path
):
    with Upstream(assets=255) as upstream:
        env = environ(database_url, upstream, SOURCES="coingecko")
        last = upstream.market.markets("id_asc")[250:]
        page = [json.loads(upstream.market.market(coin)) for coin in last]
        page[0]["id"] = ""
        upstream.answers(status(200, page), status(200, page), page=2)

        assert run_worker("run --once", env, tmp_path).returncode == 0
        again = run_worker("run --once", env, tmp_path)

    assert again.returncode == 0, again.stdout
    assert "5 fetched = 0 new + 4 unchanged + 1 rejected" in again.stdout


def test_a_file_whose_rows_were_rejected_stays_failed_until_it_is_read_again(
    database_url: URL, tmp_path: Path
):
    file = tmp_path / "prices.csv"
    file.write_text("id,symbol,name,price_usd,last_updated\n" + "a,A,A,-1,2026-01-01\n" * 3)
    env = environ(database_url, SOURCES="csv", CSV_PATH=file)

    assert run_worker("run --once", env, tmp_path).returncode == 1
    again = run_worker("run --once", env, tmp_path)
    assert again.returncode == 1
    assert "too_many_rejects: csv: no new rows since" in again.stdout

    file.write_text("id,symbol,name,price_usd,last_updated\n" + "a,A,A,1,2026-01-01\n" * 3)
    assert run_worker("run --once", env, tmp_path).returncode == 0
    assert run_worker("run --once", env, tmp_path).returncode == 0


def test_odd_files_end_as_a_failed_run_and_not_as_a_traceback(database_url: URL, tmp_path: Path):
    (tmp_path / "long.csv").write_text(
        "id,symbol,name,price_usd,last_updated\n" + f"{'9' * 5000},A,A,1,2026-01-01\n" * 3
    )
    named = tmp_path / os.fsdecode(b"bad\xff.json")
    named.write_text("[{}]")
    env = environ(database_url)

    long = run_worker(f"import csv {tmp_path / 'long.csv'}", env, tmp_path)
    bad = run_worker(f"import coingecko '{named}'", env, tmp_path)

    assert (long.returncode, bad.returncode) == (1, 1)
    assert "Traceback" not in long.stderr + bad.stderr
    assert "1 fetched = 0 new + 0 unchanged + 1 rejected" in bad.stdout


def test_saved_responses_load_through_the_same_transaction(
    engine: Engine, database_url: URL, tmp_path: Path
):
    env = environ(database_url)
    for source, file, count in (
        ("coingecko", "coingecko_markets.json", 100),
        ("coinpaprika", "coinpaprika_tickers.json", 100),
        ("csv", "sample.csv", 100),
    ):
        ran = run_worker(f"import {source} '{DATA / file}'", env, tmp_path)
        assert ran.returncode == 0, ran.stderr
        assert f"{count} fetched = {count} new + 0 unchanged + 0 rejected" in ran.stdout
        again = run_worker(f"import {source} '{DATA / file}'", env, tmp_path)
        assert f"{count} fetched = 0 new + {count} unchanged + 0 rejected" in again.stdout

    verified = run_worker("verify --json", env, tmp_path)
    assert verified.returncode == 0
    assert json.loads(verified.stdout)["findings"] == []
    with engine.connect() as conn:
        bitcoin = conn.execute(select(assets).where(assets.c.slug == "bitcoin")).one()
        cursors = conn.scalars(select(checkpoints.c.cursor)).all()
    assert bitcoin.source_count == 3
    assert cursors == [None, None, None]


@pytest.mark.slow
def test_a_cleared_checkpoint_makes_the_next_run_read_all_and_write_nothing_new(
    engine: Engine, database_url: URL, tmp_path: Path
):
    with Upstream(assets=300) as upstream:
        env = environ(database_url, upstream, SOURCES="coingecko,csv")
        run_worker("run --once", env, tmp_path)
        before = verify(engine).fingerprint
        for source in ("coingecko", "csv"):
            cleared = run_worker(f"checkpoint clear {source}", env, tmp_path)
            assert cleared.stdout == f"{source}: checkpoint cleared\n"

        ran = run_worker("run --once", env, tmp_path)

    assert "coingecko: run 3 succeeded: 300 fetched = 0 new + 300 unchanged" in ran.stdout
    assert "csv: run 4 succeeded: 100 fetched = 0 new + 100 unchanged" in ran.stdout
    assert verify(engine).fingerprint == before


def test_a_database_without_the_schema_is_named_and_nothing_is_run(
    empty_database_url: URL, tmp_path: Path
):
    ran = run_worker("run --once", environ(empty_database_url), tmp_path)

    assert ran.returncode == 2
    assert "run `worker migrate`" in ran.stderr


def test_migrate_makes_the_api_login_and_it_may_only_read(empty_database_url: URL, tmp_path: Path):
    login = empty_database_url.set(username="kasparro_web", password="p'w\\d%\"")
    env = environ(empty_database_url, API_DATABASE_URL=login.render_as_string(hide_password=False))

    assert (
        run_command("migrate", env, tmp_path).stdout == f"schema is at revision {SCHEMA_REVISION}\n"
    )
    assert run_command("migrate", env, tmp_path).returncode == 0

    reader = create_engine(login)
    with reader.connect() as conn:
        assert conn.execute(select(assets)).all() == []
        rights = conn.exec_driver_sql("SELECT has_table_privilege('assets', 'INSERT')").scalar()
    reader.dispose()
    assert rights is False
