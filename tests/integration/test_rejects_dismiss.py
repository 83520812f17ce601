"""Closing refused records with a reason."""

import json

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, select
from sqlalchemy.engine import URL

from shared.schema.operations import rejects
from tests.fakes.batches import COINGECKO, load, market
from worker.cli.main import main
from worker.ingest.batch.rejects import OpenRejects
from worker.ingest.runs.options import Options
from worker.maintenance.retry import retry
from worker.maintenance.verify import verify

NAMELESS = market("nameless", "x", "")
NEGATIVE = market("negative", "n", "Negative", -1)


@pytest.fixture
def worker(engine: Engine, database_url: URL):
    load(engine, COINGECKO, NAMELESS, NEGATIVE)
    env = {"DATABASE_URL": database_url.render_as_string(hide_password=False)}

    def run(*arguments: object) -> Result:
        return CliRunner(env=env).invoke(main, ["rejects", *map(str, arguments)])

    return run


def stored(engine: Engine) -> dict[str, object]:
    with engine.connect() as conn:
        return {row.external_id: row for row in conn.execute(select(rejects))}


def test_a_dismissed_reject_is_closed_with_its_reason_and_who_decided(worker, engine):
    number = stored(engine)["nameless"].id

    ran = worker("dismiss", number, "--reason", "a test coin", "--by", "ada")

    assert ran.output == "1 reject dismissed\n"
    row = stored(engine)["nameless"]
    assert (row.dismissed_by, row.dismissed_reason) == ("ada", "a test coin")
    assert row.resolved_at is not None
    assert stored(engine)["negative"].resolved_at is None
    listed = json.loads(worker("list", "--json", "--dismissed").stdout)["rejects"]
    assert [(each["id"], each["dismissed_reason"]) for each in listed] == [(number, "a test coin")]
    assert worker("list", "--resolved").output == "no rejects\n"
    assert verify(engine).findings == ()


@pytest.mark.parametrize(
    "which",
    [("--source", "coingecko"), ("--reason-like", "negative")],
    ids=["of a source", "by a reason"],
)
def test_rejects_are_dismissed_together_and_rehearsed(which, worker, engine):
    count = 2 if which[0] == "--source" else 1

    rehearsed = worker("dismiss", *which, "--reason", "known", "--dry-run")
    noun = "reject" if count == 1 else "rejects"
    assert rehearsed.output == f"{count} {noun} would be dismissed\n"
    assert all(row.resolved_at is None for row in stored(engine).values())

    worker("dismiss", *which, "--reason", "known")
    assert sum(row.dismissed_reason == "known" for row in stored(engine).values()) == count


def test_a_dismissed_payload_stays_closed_when_it_comes_again_and_is_not_retried(worker, engine):
    worker("dismiss", "--source", "coingecko", "--reason", "known")

    load(engine, COINGECKO, NAMELESS)
    result = retry(engine, COINGECKO, OpenRejects(), Options())

    row = stored(engine)["nameless"]
    assert (row.times_seen, row.dismissed_reason) == (2, "known")
    assert row.resolved_at is not None
    assert result.counts.fetched == 0
    assert verify(engine).findings == ()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--reason", "why"], "select the rejects"),
        (["--source", "coingecko"], "Missing option '--reason'"),
        (["--source", "coingecko", "--reason", " "], "--reason is empty"),
        (["999", "--reason", "why"], "no reject has the id 999"),
    ],
)
def test_missing_arguments_are_refused(arguments, says, worker, engine):
    ran = worker("dismiss", *arguments)

    assert ran.exit_code != 0
    assert says in ran.output
    assert all(row.resolved_at is None for row in stored(engine).values())


def test_a_closed_reject_stays_unchanged(worker, engine):
    number = stored(engine)["nameless"].id
    worker("dismiss", number, "--reason", "first")

    ran = worker("dismiss", number, "--reason", "second")

    assert "0 rejects dismissed\n1 of the given IDs are already closed" in ran.output
    assert stored(engine)["nameless"].dismissed_reason == "first"
