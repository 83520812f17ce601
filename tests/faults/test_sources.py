"""Whole runs against a source that misbehaves: how each ends, and that nothing is lost by it."""

import shlex
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.engine import URL

from shared.settings import SOURCES as EVERY_SOURCE
from shared.tables import rejects, runs
from tests.fakes.databases import database_copy, engine_on
from tests.fakes.processes import PROJECT, environ, run_worker
from tests.fakes.runner import QUICK, Runner
from tests.fakes.upstream import (
    MIB,
    Answer,
    Upstream,
    body,
    edited,
    empty_list,
    gzip_bomb,
    html,
    huge,
    late,
    payment_required,
    rate_limited,
    rate_limited_with_200,
    redirect,
    reset,
    short_by,
    stalled,
    status,
    trickle,
    truncated,
)
from worker.http import Limits
from worker.verify import Report

SIZE = 560
"""Coins: at CoinGecko two full pages and a third that is not."""

FULL = 250
IMPATIENT = Limits(read=0.5, answer=1, backoff=0.001, longest_backoff=0.001, attempts=2)
FOR_EVER = 50
"""More answers than a run asks for."""

SOURCES = ["coinpaprika", "coingecko"]


@dataclass(frozen=True)
class Place:
    """Where a source is broken: in its only page, in its first, or in one in the middle."""

    source: str
    page: int

    @property
    def before(self) -> int:
        """How many records come before it."""
        return (self.page - 1) * FULL

    def __str__(self) -> str:
        return f"{self.source}-{self.page}"


FIRST_OF_MANY = Place("coingecko", 1)
PLACES = [Place("coinpaprika", 1), FIRST_OF_MANY, Place("coingecko", 2)]


@dataclass(frozen=True)
class Fault:
    """An answer that does not stop coming, the reason it gives a run, and advice for a person."""

    answer: Answer
    reason: str
    advice: str
    limits: Limits = QUICK


IF_IT_LASTS = "look at the provider's status page and check {}_BASE_URL"

FAULTS = {
    "429": Fault(rate_limited(), "rate_limited", "lower {}_REQUESTS_PER_MINUTE"),
    "429-short": Fault(rate_limited(seconds=2), "rate_limited", "lower {}_REQUESTS_PER_MINUTE"),
    "429-long": Fault(rate_limited(seconds=4000), "rate_limited", "try again after 20"),
    "429-long-date": Fault(
        rate_limited(seconds=4000, as_date=True), "rate_limited", "try again after 20"
    ),
    "429-in-a-200": Fault(rate_limited_with_200(), "rate_limited", "lower {}_REQUESTS_PER_MINUTE"),
    "500": Fault(status(500), "http_500", IF_IT_LASTS),
    "502": Fault(html(502), "http_502", IF_IT_LASTS),
    "503": Fault(status(503), "http_503", IF_IT_LASTS),
    "503-long": Fault(status(503, Retry_After="4000"), "http_503", "try again after 20"),
    "400": Fault(status(400), "http_400", "check {}_BASE_URL"),
    "401": Fault(status(401), "unauthorized", "check {}_API_KEY"),
    "402": Fault(payment_required(), "payment_required", "plan does not cover this call"),
    "403": Fault(html(403), "forbidden", "refuses the key or this address: check {}_API_KEY"),
    "404": Fault(status(404), "not_found", "check {}_BASE_URL"),
    "silent": Fault(late(60), "timeout", IF_IT_LASTS, IMPATIENT),
    "stalled": Fault(stalled(1000), "timeout", IF_IT_LASTS, IMPATIENT),
    "trickle": Fault(trickle(), "timeout", IF_IT_LASTS, IMPATIENT),
    "reset": Fault(reset(), "connection_lost", IF_IT_LASTS),
    "cut-off": Fault(truncated(1000), "truncated", IF_IT_LASTS),
    "length-too-small": Fault(short_by(50), "truncated", IF_IT_LASTS),
    "half-the-json": Fault(edited(lambda sent: sent[:-50]), "truncated", IF_IT_LASTS),
    "lacks-an-end": Fault(
        edited(lambda sent: sent[:-50] + b"]"), "not_json", "check {}_BASE_URL, and whether"
    ),
    "nothing": Fault(body(b""), "truncated", IF_IT_LASTS),
    "bad-gzip": Fault(
        Answer(body=b"[1, 2]", headers={"Content-Encoding": "gzip"}), "truncated", IF_IT_LASTS
    ),
    "html": Fault(html(), "not_json", "check {}_BASE_URL"),
    "html-called-json": Fault(
        body(b"<html>We are back soon</html>"), "not_json", "check {}_BASE_URL, and whether"
    ),
    "json-called-text": Fault(Answer(content_type="text/plain"), "not_json", "check {}_BASE_URL"),
    "json-called-csv": Fault(Answer(content_type="text/csv"), "not_json", "check {}_BASE_URL"),
    "error-in-a-200": Fault(body(b'{"error": "coin not found"}'), "error_answer", "check {}_API"),
    "object": Fault(body(b'{"coins": []}'), "not_a_list", "check {}_BASE_URL, and whether"),
    "null": Fault(body(b"null"), "not_a_list", "check {}_BASE_URL, and whether"),
    "redirect": Fault(redirect("http://127.0.0.2/"), "redirected", "set {}_BASE_URL"),
}


@pytest.fixture(scope="module")
def as_it_was(server, maintenance_engine, template_database) -> Iterator[str]:
    """A database with the market as it was, to be copied."""
    with database_copy(maintenance_engine, server.url, template_database) as url:
        with Upstream(assets=SIZE) as upstream, engine_on(url) as engine:
            for name in SOURCES:
                assert Runner(engine, upstream, name).run().counts.new == SIZE
        yield str(url.database)


@pytest.fixture
def copy(server, maintenance_engine, as_it_was: str) -> Iterator[Engine]:
    with (
        database_copy(maintenance_engine, server.url, as_it_was) as url,
        engine_on(url) as engine,
    ):
        yield engine


@pytest.fixture(scope="module")
def unbroken(server, maintenance_engine, as_it_was: str) -> Mapping[str, Report]:
    """For each source, what a database holds after a second run that nothing disturbed."""
    reports = {}
    for name in SOURCES:
        with (
            database_copy(maintenance_engine, server.url, as_it_was) as url,
            engine_on(url) as engine,
            Upstream(assets=SIZE) as upstream,
        ):
            upstream.market.tick()
            runner = Runner(engine, upstream, name)
            assert runner.run().counts.new == SIZE
            reports[name] = runner.sound()
    return reports


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """The same market, five minutes later."""
    with Upstream(assets=SIZE) as upstream:
        upstream.market.tick()
        yield upstream


OF_EVERY_PLACE = {"429", "500", "cut-off", "html", "object"}
CASES = [
    pytest.param(
        *(place, fault),
        id=f"{place}-{fault}",
        marks=[] if place == PLACES[0] or fault in OF_EVERY_PLACE else [pytest.mark.slow],
    )
    for place in PLACES
    for fault in FAULTS
    if place != FIRST_OF_MANY or fault in OF_EVERY_PLACE
]


@pytest.mark.parametrize(("place", "fault"), CASES)
def test_a_fault_that_lasts_fails_the_run_loses_nothing_and_says_what_to_do(
    copy: Engine, upstream: Upstream, unbroken: Mapping[str, Report], place: Place, fault: str
):
    runner = Runner(copy, upstream, place.source)
    before = runner.checkpoint()
    broken = FAULTS[fault]
    upstream.answers(*[broken.answer] * FOR_EVER, page=place.page)

    result = runner.run(broken.limits)

    assert (result.ending.outcome, result.ending.reason) == ("failed", broken.reason)
    assert broken.advice.format(place.source.upper()) in str(result.ending.error)
    assert result.counts.fetched == result.counts.new == place.before
    after = runner.checkpoint()
    assert after.cursor == ({"page": place.page} if place.page > 1 else None)
    assert after.last_success_at == before.last_success_at
    assert after.last_failure_at
    # Those of this run: the run before may have met its upstream at the same port.
    known = [
        key
        for key, validator in after.validators.items()
        if key.startswith(upstream.base_url) and before.validators.get(key) != validator
    ]
    assert len(known) == place.page - 1

    upstream.answers(page=place.page)
    healed = runner.run()

    assert healed.ending.outcome == "succeeded"
    assert healed.counts.new == SIZE - place.before
    assert runner.sound() == unbroken[place.source]


PASSING = {
    "429": rate_limited(),
    "500": status(500),
    "502": html(502),
    "503": status(503),
    "reset": reset(),
    "cut-off": truncated(1000),
    "half-the-json": edited(lambda sent: sent[:-50]),
    "length-too-small": short_by(50),
}


@pytest.mark.parametrize("answer", PASSING)
@pytest.mark.parametrize("place", [PLACES[0], PLACES[2]], ids=str)
def test_a_fault_that_passes_within_the_attempts_is_not_seen_in_the_content(
    copy: Engine, upstream: Upstream, unbroken: Mapping[str, Report], place: Place, answer: str
):
    runner = Runner(copy, upstream, place.source)
    upstream.answers(PASSING[answer], PASSING[answer], page=place.page)

    result = runner.run()

    assert result.ending.outcome == "succeeded"
    assert runner.last_run().retries == 2
    assert runner.sound() == unbroken[place.source]


@pytest.mark.parametrize("as_date", [False, True])
@pytest.mark.parametrize("source", SOURCES)
def test_a_pause_that_a_run_can_wait_for_is_kept_to_the_second(
    copy: Engine, upstream: Upstream, unbroken: Mapping[str, Report], source: str, as_date: bool
):
    runner = Runner(copy, upstream, source)
    upstream.answers(rate_limited(seconds=119, as_date=as_date))

    result = runner.run()

    assert result.ending.outcome == "succeeded"
    assert 119 in runner.pauses
    assert runner.sound() == unbroken[source]


@pytest.mark.parametrize("loops", [1, 2, 3])
def test_the_same_page_for_ever_is_left_and_the_pages_it_hid_are_read_once_it_is_over(
    copy: Engine, upstream: Upstream, unbroken: Mapping[str, Report], loops: int
):
    runner = Runner(copy, upstream, "coingecko")
    first = page_of(upstream, 1)
    for page in range(1, 10):
        upstream.answers(*[body(first)] * FOR_EVER, page=page)

    for _ in range(loops):
        result = runner.run()
        assert (result.ending.outcome, result.ending.reason) == ("failed", "paging_loop")
        assert "check COINGECKO_BASE_URL" in str(result.ending.error)
        assert result.counts.fetched == FULL
        assert runner.checkpoint().cursor is None

    for page in range(1, 10):
        upstream.answers(page=page)
    healed = runner.run()

    assert (healed.ending.outcome, healed.counts.new) == ("succeeded", SIZE - FULL)
    assert runner.sound() == unbroken["coingecko"]


def page_of(upstream: Upstream, page: int) -> bytes:
    """Give what a page of CoinGecko's says now."""
    coins = upstream.market.markets("id_asc")[(page - 1) * FULL : page * FULL]
    return listed(map(upstream.market.market, coins))


def listed(records: Iterable[bytes]) -> bytes:
    return b"[" + b",".join(records) + b"]"


@pytest.mark.parametrize("source", SOURCES)
def test_an_empty_list_where_there_were_many_fails_the_run(
    copy: Engine, upstream: Upstream, unbroken: Mapping[str, Report], source: str
):
    runner = Runner(copy, upstream, source)
    upstream.answers(empty_list())

    result = runner.run()

    assert (result.ending.outcome, result.ending.reason) == ("failed", "empty_answer")
    assert f"no record where about {SIZE} were expected" in str(result.ending.error)
    assert "look at what the source answers" in str(result.ending.error)
    assert runner.run().counts.new == SIZE
    assert runner.sound() == unbroken[source]


def test_an_empty_page_in_the_middle_is_no_end_that_counts(
    copy: Engine, upstream: Upstream, unbroken: Mapping[str, Report]
):
    runner = Runner(copy, upstream, "coingecko")
    upstream.answers(empty_list(), page=2)

    result = runner.run()

    assert (result.ending.outcome, result.ending.reason) == ("partial", "fewer_records")
    assert f"250 records where about {SIZE} were expected" in str(result.ending.error)
    assert "worker checkpoint clear coingecko" in str(result.ending.error)
    assert runner.checkpoint().snapshot_records == SIZE
    healed = runner.run()
    assert (healed.ending.outcome, healed.counts.new) == ("succeeded", SIZE - FULL)
    assert runner.sound() == unbroken["coingecko"]


def test_coins_that_change_pages_are_seen_twice_or_missed_and_the_next_run_brings_them(
    copy: Engine, upstream: Upstream, unbroken: Mapping[str, Report]
):
    runner = Runner(copy, upstream, "coingecko")
    coins = [upstream.market.market(coin) for coin in upstream.market.markets("id_asc")]
    # While page 2 was read, seven coins of page 3 moved up before it, and pushed seven down.
    third = listed([*coins[493:500], *coins[507:]])
    upstream.answers(body(third), page=3)

    result = runner.run()

    assert result.ending.outcome == "succeeded"
    assert (result.counts.new, result.counts.unchanged) == (SIZE - 7, 7)
    runner.sound()
    healed = runner.run()
    assert (healed.ending.outcome, healed.counts.new) == ("succeeded", 7)
    assert runner.sound() == unbroken["coingecko"]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("batch_size", [10, 1000])
def test_a_record_that_stands_in_a_page_twice_is_stored_once(
    copy: Engine, upstream: Upstream, unbroken: Mapping[str, Report], source: str, batch_size: int
):
    runner = Runner(copy, upstream, source, batch_size)
    upstream.answers(edited(lambda sent: sent[:-1] + b"," + sent[1:-1] + b"]"))

    result = runner.run()

    # CoinGecko's first page is longer than a page can be: it counts as full.
    twice = FULL if source == "coingecko" else SIZE
    assert result.ending.outcome == "succeeded"
    assert (result.counts.new, result.counts.unchanged) == (SIZE, twice)
    assert runner.sound() == unbroken[source]


@pytest.mark.parametrize("source", SOURCES)
def test_of_an_id_that_stands_in_a_page_twice_the_same_one_wins_in_any_order(
    server, maintenance_engine, as_it_was: str, source: str
):
    key = {"coingecko": b'"current_price":', "coinpaprika": b'"price":'}[source]

    def other(record: bytes) -> bytes:
        return record.replace(key, key + b"1", 1)

    def forwards(sent: bytes) -> bytes:
        return sent[:-1] + b"," + other(sent)[1:]

    def backwards(sent: bytes) -> bytes:
        return other(sent)[:-1] + b"," + sent[1:]

    reports = []
    for edit in (forwards, backwards):
        with (
            database_copy(maintenance_engine, server.url, as_it_was) as url,
            engine_on(url) as engine,
            Upstream(assets=SIZE) as upstream,
        ):
            upstream.market.tick()
            upstream.answers(edited(edit))
            runner = Runner(engine, upstream, source)
            assert runner.run().counts.new > SIZE
            reports.append(runner.sound())
    assert reports[0] == reports[1]


@pytest.mark.parametrize("source", SOURCES)
def test_a_record_nested_10_000_deep_is_refused_and_costs_no_other(
    copy: Engine, upstream: Upstream, source: str
):
    runner = Runner(copy, upstream, source)
    hostile = b'{"id":"deep","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
    upstream.answers(edited(lambda sent: b"[" + hostile + b"," + sent[1:]))

    result = runner.run()

    assert result.ending.outcome == "succeeded"
    assert (result.counts.new, result.counts.rejected) == (SIZE, 1)
    runner.sound()
    with copy.connect() as conn:
        refused = conn.execute(select(rejects)).one()
    assert bytes(refused.payload) == hostile
    assert refused.reasons == ["nested deeper than 100 levels"]
    assert refused.position == "page 1, record 1"


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("fault", ["429-long", "401", "html", "object"])
def test_one_source_s_fault_stops_no_other_and_the_worker_says_what_to_do(
    engine: Engine, database_url: URL, tmp_path: Path, upstream: Upstream, source: str, fault: str
):
    broken = FAULTS[fault]
    with Upstream(assets=300) as other:
        other.always(broken.answer)
        url = {"coingecko": other.coingecko_url, "coinpaprika": other.coinpaprika_url}[source]
        env = environ(database_url, upstream, **{f"{source.upper()}_BASE_URL": url})

        ran = run_worker("run --once", env, tmp_path, seconds=30)

    assert ran.returncode == 1
    assert f"{source}: run " in ran.stdout
    assert f" failed ({broken.reason}: " in ran.stdout
    advice = broken.advice.format(source.upper())
    assert advice in ran.stdout
    assert advice in ran.stderr
    assert "Traceback" not in ran.stderr
    of_contracts = {"coingecko": "coingecko_coins", "coinpaprika": "coinpaprika_contracts"}[source]
    assert outcomes(engine) == {
        **dict.fromkeys(EVERY_SOURCE, ("succeeded", None)),
        **dict.fromkeys([source, of_contracts], ("failed", broken.reason)),
    }


def outcomes(engine: Engine) -> dict[str, tuple[str, str | None]]:
    with engine.connect() as conn:
        rows = conn.execute(select(runs.c.source, runs.c.outcome, runs.c.reason))
        return {row.source: (row.outcome, row.reason) for row in rows}


def test_a_port_where_nobody_listens_is_unreachable(copy: Engine):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = Elsewhere(f"http://127.0.0.1:{closed.getsockname()[1]}")
        result = Runner(copy, nobody, "coingecko").run()

    assert (result.ending.outcome, result.ending.reason) == ("failed", "unreachable")
    assert "(Connection refused); check the network and COINGECKO_BASE_URL" in str(
        result.ending.error
    )


@dataclass(frozen=True)
class Elsewhere:
    """An address in place of an upstream."""

    coingecko_url: str


@pytest.mark.parametrize("source", SOURCES)
def test_a_key_follows_no_redirect_and_is_nowhere_to_be_read(
    engine: Engine, database_url: URL, tmp_path: Path, source: str
):
    key = "s3cr3t-k3y-of-ours"
    with Upstream(assets=10) as upstream, Upstream(assets=10) as elsewhere:
        path = {"coingecko": "/api/v3/coins/markets", "coinpaprika": "/v1/tickers"}[source]
        upstream.always(redirect(elsewhere.base_url.replace("127.0.0.1", "localhost") + path))
        plan = {"COINGECKO_PLAN": "demo"} if source == "coingecko" else {}
        settings = {f"{source.upper()}_API_KEY": key, **plan}
        env = environ(database_url, upstream, LOG_LEVEL="DEBUG", **settings)

        ran = run_worker(f"run --once --source {source}", env, tmp_path)

        assert any(key in value for value in upstream.asked[0].headers.values())
        assert not elsewhere.asked
    assert ran.returncode == 1
    assert f"failed (redirected: GET {upstream.base_url}{path}" in ran.stdout
    assert f"if it is right, set {source.upper()}_BASE_URL" in ran.stderr
    assert key not in ran.stdout + ran.stderr
    assert key not in whole_content(engine)


def test_a_key_with_a_line_break_is_named_and_never_shown(
    engine: Engine, database_url: URL, tmp_path: Path
):
    with Upstream(assets=10) as upstream:
        settings = {"COINPAPRIKA_API_KEY": "s3cr3t\nk3y"}
        env = environ(database_url, upstream, **settings)

        ran = run_worker("run --once --source coinpaprika", env, tmp_path)

        assert not upstream.asked
    assert ran.returncode != 0
    said = ran.stdout + ran.stderr + whole_content(engine)
    assert "COINPAPRIKA_API_KEY" in said
    assert "copy the key again" in said
    assert "Traceback" not in said
    assert "s3cr3t" not in said
    assert "k3y" not in said


def whole_content(engine: Engine) -> str:
    """Write out every run and checkpoint of the database."""
    with engine.connect() as conn:
        found = conn.exec_driver_sql(
            "SELECT to_jsonb(r)::text FROM runs AS r"
            " UNION ALL SELECT to_jsonb(c)::text FROM checkpoints AS c"
        )
        return "\n".join(found.scalars())


def test_a_pause_that_is_too_long_is_kept_by_the_next_process_too(
    database_url: URL, tmp_path: Path
):
    with Upstream(assets=10) as upstream:
        upstream.answers(rate_limited(seconds=4000))
        env = environ(database_url, upstream)

        for _ in range(2):
            ran = run_worker("run --once --source coinpaprika", env, tmp_path)
            assert ran.returncode == 1
            assert "failed (rate_limited: " in ran.stdout
            assert "try again after 20" in ran.stdout

        assert len(upstream.asked) == 1


LARGE = {
    "200-mib": (huge(200), "too_large"),
    "200-mib-of-no-length": (huge(200, lengthless=True), "too_large"),
    "gzip-bomb": (gzip_bomb(200 * MIB), "too_large"),
}


@pytest.mark.parametrize("answer", LARGE)
def test_a_body_without_measure_fails_the_run_within_300_mib(
    database_url: URL, tmp_path: Path, answer: str
):
    said, reason = LARGE[answer]
    with Upstream(assets=300) as upstream:
        upstream.answers(said)
        env = environ(database_url, upstream)

        status, out, mebibytes = measured("run --once --source coinpaprika", env, tmp_path)

        assert status == 1
        assert f"failed ({reason}: " in out
        assert "larger than 64 MiB" in out
        assert "check COINPAPRIKA_BASE_URL" in out
        assert mebibytes < 300
        assert run_worker("run --once --source coinpaprika", env, tmp_path).returncode == 0


def measured(arguments: str, env: Mapping[str, str], cwd: Path) -> tuple[int, str, float]:
    """Run the worker; return its exit code, what it printed, and the most memory it had in MiB."""
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, sys.executable, "-m", "worker", *shlex.split(arguments)],
        env={**env, "PYTHONPATH": str(PROJECT)},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    out, _, kibibytes = ran.stdout.rpartition("peak ")
    return ran.returncode, out, int(kibibytes) / 1024


MEASURE = """
import resource, subprocess, sys
ran = subprocess.run(sys.argv[1:], stderr=subprocess.DEVNULL)
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(ran.returncode)
"""
"""Between the two, since a process counts the memory of the one it was forked from as its own."""


@pytest.mark.parametrize("text", ["a\\u0000b", "a\\ud800b", "\\u202e\\n\\tx" * 5000])
def test_whatever_an_error_says_of_itself_can_be_stored(
    copy: Engine, upstream: Upstream, text: str
):
    runner = Runner(copy, upstream, "coinpaprika")
    upstream.always(Answer(status=403, body=f'{{"error": "{text}"}}'.encode()))

    result = runner.run()

    assert result.ending.reason == "forbidden"
    assert runner.last_run().error == result.ending.error
