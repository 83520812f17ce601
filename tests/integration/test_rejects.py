import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from click.testing import CliRunner, Result
from sqlalchemy import Engine, Row, select, text
from sqlalchemy.engine import URL

from shared.model.records import RawRecord, Reject
from shared.schema.operations import checkpoints, rejects, runs
from tests.fakes.batches import COINGECKO, CSV, load, market, open_run, row
from worker.cli.main import main
from worker.ingest.batch import transaction
from worker.ingest.batch.contents import Batch
from worker.ingest.batch.rejects import OpenRejects
from worker.ingest.runs.options import Options
from worker.maintenance.retry import retry
from worker.maintenance.verify import verify

AHEAD = datetime.now(UTC) + timedelta(hours=2)
FUTURE = AHEAD.isoformat()
LATER = Options(clock=lambda: AHEAD, batch_size=2)
NOW = Options(batch_size=2)


def refuse(engine: Engine, source: object, payload: bytes, reason: str = "of an old schema") -> int:
    """Store a reject as an older schema may have left it; return its id."""
    refused = Reject(RawRecord(payload, "page 1, record 1", None), [reason], "an-id")
    with engine.connect() as conn:
        run_id = open_run(conn, source)
        transaction.load_batch(conn, source.name, run_id, Batch(b"", 0, [refused], cursor=None))
        return conn.scalar(select(rejects.c.id).order_by(rejects.c.id.desc()))


def stored(engine: Engine) -> list[Row]:
    with engine.connect() as conn:
        return conn.execute(select(rejects).order_by(rejects.c.id)).all()


def worker(url: URL, *arguments: object) -> Result:
    env = {"DATABASE_URL": url.render_as_string(hide_password=False), "BATCH_SIZE": "2"}
    return CliRunner(env=env).invoke(main, ["rejects", *map(str, arguments)])


def test_records_that_pass_now_are_loaded_and_resolved_and_the_others_have_reasons(engine: Engine):
    ahead = [market(f"coin-{n}", "c", f"Coin {n}", at=FUTURE) for n in range(5)]
    load(engine, COINGECKO, *ahead, market("nameless", "x", ""))

    result = retry(engine, COINGECKO, OpenRejects(), LATER)

    assert result.ending.outcome == "succeeded"
    assert (result.counts.fetched, result.counts.new, result.counts.rejected) == (6, 5, 1)
    *resolved, still_open = stored(engine)
    assert all(reject.resolved_at and reject.times_seen == 1 for reject in resolved)
    assert (still_open.external_id, still_open.resolved_at) == ("nameless", None)
    assert (still_open.times_seen, still_open.last_run_id) == (1, 1)
    report = verify(engine, [COINGECKO])
    assert report.findings == ()
    assert report.counted["raw_coingecko"] == report.counted["assets"] == 5


def test_a_second_retry_reads_only_what_is_still_open(engine: Engine):
    load(engine, COINGECKO, market("a", "a", "A", at=FUTURE), market("nameless", "x", ""))
    retry(engine, COINGECKO, OpenRejects(), LATER)

    again = retry(engine, COINGECKO, OpenRejects(), LATER)

    assert (again.counts.fetched, again.counts.rejected) == (1, 1)
    assert again.ending.reason == "refused_again"
    assert verify(engine).findings == ()


def test_records_that_are_refused_again_are_not_counted_again(engine: Engine, database_url: URL):
    load(engine, COINGECKO, market("a", "a", "A"), market("nameless", "x", ""))
    before = stored(engine)

    ran = worker(database_url, "retry")
    worker(database_url, "retry")

    assert ran.exit_code == 1
    assert (
        "coingecko: run 2 failed (refused_again: coingecko: no record passed; 1 of 1 were refused "
        "again): 1 fetched = 0 new + 0 unchanged + 1 rejected" in ran.stdout
    )
    assert stored(engine) == before
    with engine.connect() as conn:
        totals = conn.execute(select(checkpoints)).one()
        assert (totals.records_fetched, totals.records_rejected) == (2, 1)
        assert list(conn.scalars(select(runs.c.records_rejected).order_by(runs.c.id))) == [1, 0, 0]
    assert verify(engine).findings == ()


def test_a_retry_of_rows_names_the_values_and_the_lines_that_are_none(
    engine: Engine, database_url: URL
):
    refuse(engine, CSV, row("b", "B", "Bbb", "bad"), "of an old schema")
    ran = worker(database_url, "retry")
    refuse(engine, CSV, b"half,a line\n", "2 cells under 5 headers")

    with_line = worker(database_url, "retry")

    assert "price_usd: not a number: 'bad'" in ran.stdout
    assert "could not be split" not in ran.stdout
    assert "1 of them could not be split into the columns of their file" in with_line.stdout


def test_a_retry_leaves_the_cursor_and_is_a_run_of_its_own(engine: Engine):
    with engine.connect() as conn:
        run_id = open_run(conn, COINGECKO)
        refused = Reject(RawRecord(market("a", "a", "A"), "page 1", None), ["old"], "a")
        batch = Batch(b"", 0, [refused], cursor={"page": 7}, snapshot_progress=3)
        transaction.load_batch(conn, "coingecko", run_id, batch)

    result = retry(engine, COINGECKO, OpenRejects(), NOW)

    with engine.connect() as conn:
        checkpoint = conn.execute(select(checkpoints)).one()
        run = conn.execute(select(runs).where(runs.c.id == result.run_id)).one()
    assert (checkpoint.cursor, checkpoint.snapshot_progress) == ({"page": 7}, 3)
    assert (run.command, run.outcome, run.cursor_after) == ("retry", "succeeded", {"page": 7})


def test_a_resolved_record_that_is_refused_again_is_open_again(engine: Engine):
    payload = market("a", "a", "A", at=FUTURE)
    load(engine, COINGECKO, payload)
    retry(engine, COINGECKO, OpenRejects(), LATER)

    load(engine, COINGECKO, payload)

    (reject,) = stored(engine)
    assert (reject.resolved_at, reject.times_seen) == (None, 2)
    retried = retry(engine, COINGECKO, OpenRejects(), LATER)
    assert (retried.counts.new, retried.counts.unchanged) == (0, 1)
    assert stored(engine)[0].resolved_at is not None
    assert verify(engine).findings == ()


def test_a_record_refused_again_has_the_new_reasons(engine: Engine):
    refuse(engine, COINGECKO, market("nameless", "x", ""), "a reason of an old schema")

    retry(engine, COINGECKO, OpenRejects(), NOW)

    (reject,) = stored(engine)
    assert reject.reasons == ["name: empty, or longer than 300 characters"]


def test_rows_of_csv_files_are_read_again_and_lines_that_are_no_rows_keep_their_reason(
    engine: Engine,
):
    refuse(engine, CSV, row("a", "A", "Aaa"))
    refuse(engine, CSV, b"half,a line\n", "2 cells under 5 headers")
    refuse(engine, CSV, row("b", "B", "Bbb", "1,234"))

    result = retry(engine, CSV, OpenRejects(), NOW)

    assert (result.counts.new, result.counts.rejected) == (1, 2)
    loaded, line, unclear = stored(engine)
    assert loaded.resolved_at is not None
    assert line.reasons == ["2 cells under 5 headers"]
    assert line.resolved_at is unclear.resolved_at is None
    assert "may be a decimal mark or not" in unclear.reasons[0]
    assert verify(engine, [CSV]).findings == ()


@pytest.mark.parametrize("what", [("2",), ("--reason", "old reason"), ("--source", "csv")])
def test_retry_reads_only_what_is_asked_for(engine: Engine, database_url: URL, what: tuple):
    refuse(engine, COINGECKO, market("a", "a", "A"))
    refuse(engine, CSV, row("b", "B", "Bbb"), "an old reason")

    ran = worker(database_url, "retry", *what)

    assert ran.exit_code == 0, ran.output
    assert "csv: run 3 succeeded: 1 fetched = 1 new + 0 unchanged + 0 rejected" in ran.stdout
    assert [reject.resolved_at is None for reject in stored(engine)] == [True, False]


def test_a_dry_run_counts_and_changes_nothing(engine: Engine, database_url: URL):
    for number in range(3):
        refuse(engine, COINGECKO, market(f"coin-{number}", "a", "A"))
    refuse(engine, COINGECKO, market("nameless", "x", ""))
    before = verify(engine).fingerprint, stored(engine)

    ran = worker(database_url, "retry", "--dry-run")

    assert ran.stdout == "coingecko: 3 of 4 rejects would pass\n"
    assert (verify(engine).fingerprint, stored(engine)) == before


def test_a_retry_says_which_values_are_not_readable_of_what_it_loaded(
    engine: Engine, database_url: URL
):
    for n in range(3):
        refuse(engine, COINGECKO, market(f"coin-{n}", "c", f"Coin {n}", market_cap="abc"))
    nothing = dict.fromkeys(("total_volume", "circulating_supply"))
    refuse(engine, COINGECKO, market("none", "x", "X", "null", market_cap="abc", **nothing))
    told = "market_cap_usd: 3 values are not readable and null, first page 1, record 1: "

    ran = worker(database_url, "retry")

    assert ran.exit_code == 0
    assert f"{told}not a number: 'abc'\n" in ran.stdout


def test_a_retry_logs_which_values_are_not_readable(engine: Engine):
    refuse(engine, COINGECKO, market("sol", "sol", "Solana", max_supply=-1))

    with structlog.testing.capture_logs() as lines:
        result = retry(engine, COINGECKO, OpenRejects(), NOW)

    where = "page 1, record 1: negative: -1"
    assert result.notes == [f"max_supply: 1 value is not readable and null, first {where}"]
    unread = {"log_level": "warning", "event": "values were not readable"}
    assert {**unread, "field": "max_supply", "count": 1, "first": where} in lines


def test_retry_names_an_unknown_id_and_reads_nothing(engine: Engine, database_url: URL):
    reject = refuse(engine, COINGECKO, market("a", "a", "A"))

    ran = worker(database_url, "retry", reject, 99)

    assert ran.exit_code == 1
    assert "no reject has the id 99" in ran.output
    assert stored(engine)[0].resolved_at is None


def test_a_retry_that_refuses_again_prints_the_reasons(engine: Engine, database_url: URL):
    refuse(engine, COINGECKO, market("nameless", "x", ""))

    ran = worker(database_url, "retry")

    assert "1 fetched = 0 new + 0 unchanged + 1 rejected" in ran.stdout
    assert "name: empty, or longer than 300 characters" in ran.stdout


@pytest.mark.parametrize(
    "payload", [b'{"a":\xff\x00\r\n}', b'{"id": "\xc3\xa9"}\r\n', b"", bytes(range(256))]
)
def test_a_payload_comes_back_byte_for_byte(engine: Engine, database_url: URL, payload: bytes):
    reject = refuse(engine, COINGECKO, payload)

    shown = json.loads(worker(database_url, "show", reject, "--json").stdout)
    decoded = {"utf-8": str.encode, "base64": base64.b64decode}[shown["payload_encoding"]]

    assert worker(database_url, "show", reject, "--payload").stdout_bytes == payload
    assert decoded(shown["payload"]) == payload
    assert shown["reasons"] == ["of an old schema"]


def test_show_reports_an_unknown_id(database_url: URL):
    ran = worker(database_url, "show", 7)

    assert ran.exit_code == 1
    assert "reject 7: not found" in ran.output


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ((), ["a", "c"]),
        (("--resolved",), ["b"]),
        (("--all",), ["a", "b", "c"]),
        (("--source", "csv"), ["c"]),
        (("--reason", "second"), []),
        (("--all", "--reason", "second"), ["b"]),
        (("--run", "1"), ["a"]),
        (("--all", "--limit", "1", "--run", "2"), ["b"]),
    ],
)
def test_the_list_is_filtered_and_counts_what_it_shows(
    engine: Engine, database_url: URL, arguments: tuple[str, ...], found: list[str]
):
    refuse(engine, COINGECKO, b"a", "first")
    refuse(engine, COINGECKO, b"b", "second")
    refuse(engine, CSV, b"c", "third")
    with engine.begin() as conn:
        conn.execute(text("UPDATE rejects SET resolved_at = now() WHERE id = 2"))
    names = {1: "a", 2: "b", 3: "c"}

    listed = json.loads(worker(database_url, "list", "--json", *arguments).stdout)

    assert sorted(names[reject["id"]] for reject in listed["rejects"]) == found
    assert sum(count["records"] for count in listed["counts"]) == len(found)


def test_the_list_counts_by_column_and_kind_whatever_the_values(engine: Engine, database_url: URL):
    reasons = [f"price_usd: not a number: '76.{n},5'; declare decimal" for n in range(3)]
    reasons += [f"supply (2): '${n}' has a currency sign" for n in range(2)]
    reasons += ['supply (3): "$1\'s" has a currency sign', "volume_24h_usd: negative"]
    reasons += [f"{n} cells under 4 headers" for n in (2, 3)]
    for n, reason in enumerate(reasons):
        refuse(engine, CSV, b"%d" % n, reason)

    listed = json.loads(worker(database_url, "list", "--json").stdout)

    assert [(each["records"], each["reason"], each["example"]) for each in listed["counts"]] == [
        (3, "price_usd: not a number", reasons[0]),
        (2, "# cells under # headers", "2 cells under 4 headers"),
        (2, "supply (2): … has a currency sign", reasons[3]),
        (1, "supply (3): … has a currency sign", reasons[5]),
        (1, "volume_24h_usd: negative", reasons[6]),
    ]
