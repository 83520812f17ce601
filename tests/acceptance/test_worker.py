import json
from pathlib import Path

from sqlalchemy import Engine, create_engine, select
from sqlalchemy.engine import URL

from shared.tables import assets, checkpoints, runs
from tests.fakes.processes import environ, run_worker
from tests.fakes.upstream import Upstream, status
from worker.verify import verify

DATA = Path(__file__).resolve().parent.parent.parent / "data"


def test_one_pass_loads_every_source_and_says_what_it_counted(
    engine: Engine, database_url: URL, tmp_path: Path
):
    with Upstream(assets=600) as upstream:
        env = environ(database_url, upstream)
        ran = run_worker("run --once", env, tmp_path)

        assert ran.returncode == 0, ran.stderr
        assert "coinpaprika: run 2 succeeded: 600 fetched = 600 new" in ran.stdout
        assert "coingecko: run 3 succeeded: 600 fetched = 600 new" in ran.stdout
        assert "csv: run 1 succeeded: 100 fetched = 100 new" in ran.stdout
        report = verify(engine)
        assert not report.findings

        again = run_worker("run --once", env, tmp_path)

    assert again.returncode == 0
    assert verify(engine).fingerprint == report.fingerprint
    with engine.connect() as conn:
        repeated = conn.execute(select(runs).where(runs.c.id > 3).order_by(runs.c.id)).all()
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
    assert "failed (empty_answer: coingecko: the answer holds no record)" in ran.stdout
    assert verify(engine).fingerprint == before


def test_a_snapshot_that_breaks_off_early_is_partial(database_url: URL, tmp_path: Path):
    with Upstream(assets=600) as upstream:
        env = environ(database_url, upstream, SOURCES="coingecko")
        assert run_worker("run --once", env, tmp_path).returncode == 0

        upstream.market.tick()
        upstream.answers(status(200, []), page=2)
        ran = run_worker("run --once", env, tmp_path)

    assert ran.returncode == 1
    assert "partial (fewer_records: coingecko: 250 records where the last snapshot had 600" in (
        ran.stdout
    )


def test_saved_responses_load_through_the_same_transaction(
    engine: Engine, database_url: URL, tmp_path: Path
):
    env = environ(database_url)
    for source, file, count in (
        ("coingecko", "coingecko_markets.json", 100),
        ("coinpaprika", "coinpaprika_tickers.json", 100),
        ("csv", "sample.csv", 100),
    ):
        ran = run_worker(f"import {source} {DATA / file}", env, tmp_path)
        assert ran.returncode == 0, ran.stderr
        assert f"{count} fetched = {count} new + 0 unchanged + 0 rejected" in ran.stdout
        again = run_worker(f"import {source} {DATA / file}", env, tmp_path)
        assert f"{count} fetched = 0 new + {count} unchanged + 0 rejected" in again.stdout

    verified = run_worker("verify --json", env, tmp_path)
    assert verified.returncode == 0
    assert json.loads(verified.stdout)["findings"] == []
    with engine.connect() as conn:
        bitcoin = conn.execute(select(assets).where(assets.c.slug == "bitcoin")).one()
        cursors = conn.scalars(select(checkpoints.c.cursor)).all()
    assert bitcoin.source_count == 3
    assert cursors == [None, None, None]


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

    assert run_worker("migrate", env, tmp_path).stdout == "schema is at revision 0001\n"
    assert run_worker("migrate", env, tmp_path).returncode == 0

    reader = create_engine(login)
    with reader.connect() as conn:
        assert conn.execute(select(assets)).all() == []
        rights = conn.exec_driver_sql("SELECT has_table_privilege('assets', 'INSERT')").scalar()
    reader.dispose()
    assert rights is False
