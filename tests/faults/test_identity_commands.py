"""`worker identity` as a process: killed, refused, and two at once."""

import json
import signal
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.engine import URL

from shared.schema.identity import corrections, crosswalk
from shared.schema.market import listings
from shared.schema.operations import runs
from tests.fakes.api import api_on
from tests.fakes.batches import COINGECKO, COINPAPRIKA, CSV, load, market, row, ticker
from tests.fakes.forked_worker import WarmWorker
from tests.fakes.processes import environ, run_worker
from tests.faults.test_resume import wait_until_blocked
from worker.maintenance.verify import verify

LINK = "identity link coingecko the-open-network crystal --reason 'its team says so' --by ann"
TON_CROSSWALK = (
    "source,external_id,asset\n"
    "coingecko,the-open-network,toncoin\n"
    "coinpaprika,toncoin-the-open-network,toncoin\n"
)


@pytest.fixture(autouse=True)
def coins(engine: Engine) -> None:
    load(engine, COINGECKO, market("the-open-network", "ton", "The Open Network"))
    load(engine, COINPAPRIKA, ticker("toncoin-the-open-network", "TONCOIN", "Crystal"))


@pytest.fixture
def env(database_url: URL, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "identity").mkdir()
    return environ(database_url, IDENTITY_PATH=tmp_path / "identity")


def count_assets(engine: Engine) -> int:
    with engine.connect() as conn:
        return conn.scalar(select(func.count(listings.c.asset_id.distinct())))


def count_corrections(engine: Engine) -> int:
    with engine.connect() as conn:
        return conn.scalar(select(func.count()).select_from(corrections))


@pytest.mark.parametrize(("point", "landed"), [("before_commit", 0), ("after_commit", 1)])
def test_a_command_that_is_killed_did_all_of_it_or_nothing(
    engine: Engine, env: dict[str, str], tmp_path: Path, point: str, landed: int
):
    killed = run_worker(LINK, {**env, "FAULT": point}, tmp_path)

    assert killed.returncode == -signal.SIGKILL
    assert (count_corrections(engine), count_assets(engine)) == (landed, 2 - landed)
    assert verify(engine).findings == ()

    again = run_worker(LINK, env, tmp_path)

    assert again.returncode == 0, again.stderr
    assert count_assets(engine) == 1
    assert verify(engine).findings == ()


def test_a_dry_run_shows_the_result_and_changes_nothing(
    engine: Engine, env: dict[str, str], tmp_path: Path
):
    before = verify(engine)
    rows = "coingecko,a,one\ncoinpaprika,b,one\n"
    (tmp_path / "identity" / "one.csv").write_text(f"source,external_id,asset\n{rows}")

    said = run_worker(f"{LINK} --dry-run", env, tmp_path)

    assert said.stdout == (
        "would decide: coingecko:the-open-network is crystal; asset crystal\n"
    ), said.stderr
    assert verify(engine) == before
    assert not count_corrections(engine)
    with engine.connect() as conn:
        assert not conn.scalar(select(func.count()).select_from(crosswalk))


def test_a_dry_run_marks_a_broken_link_in_the_log(
    engine: Engine, env: dict[str, str], tmp_path: Path
):
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin"))
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "Bitcoin"))
    before = verify(engine)

    said = run_worker("identity split coingecko bitcoin --reason asked --dry-run", env, tmp_path)

    assert said.returncode == 0, said.stderr
    [told] = map(json.loads, said.stderr.splitlines())
    assert told["dry_run"] is True
    assert told["event"].startswith("dry run, nothing changes: link broken")
    assert verify(engine) == before


def test_two_who_decide_at_once_wait_for_each_other(
    engine: Engine, env: dict[str, str], tmp_path: Path
):
    with engine.connect() as blocker:
        blocker.exec_driver_sql("LOCK TABLE assets IN EXCLUSIVE MODE")
        commands = [LINK, "identity merge crystal the-open-network --reason same --by bob"]
        workers = [WarmWorker(command, env, tmp_path) for command in commands]
        wait_until_blocked(engine)
        blocker.rollback()
    codes = [worker.wait() for worker in workers]

    # Whoever comes second finds one asset, by one of the two slugs.
    assert 0 in codes
    assert count_assets(engine) == 1
    assert verify(engine).findings == ()


def test_what_is_shown_is_what_was_decided(env: dict[str, str], tmp_path: Path):
    assert run_worker(LINK, env, tmp_path).stdout == (
        "correction 1: coingecko:the-open-network is crystal; asset crystal\n"
    )
    for command in (LINK, f"{LINK} --dry-run"):
        assert run_worker(command, env, tmp_path).stdout == (
            "nothing to change: coingecko:the-open-network is crystal by correction 1; "
            "asset crystal\n"
        )

    shown = json.loads(run_worker("identity show crystal --json", env, tmp_path).stdout)
    assert [each["external_id"] for each in shown["listings"]] == [
        "the-open-network",
        "toncoin-the-open-network",
    ]
    assert [each["id"] for each in shown["corrections"]] == [1]
    [event] = [each for each in shown["events"] if each["decided_by"] == "ann"]
    assert event["decision"] == "link"
    assert (event["from_asset"], event["to_asset"]) == ("the-open-network", "crystal")
    table = run_worker("identity show crystal", env, tmp_path)
    assert "its team says so" in table.stdout, table.stderr
    listed = run_worker("identity list --method correction", env, tmp_path)
    assert listed.stdout.count("crystal") == 2

    undone = run_worker("identity undo 1 --reason mistaken --by ann", env, tmp_path)
    assert undone.stdout == (
        "correction 1: revoked, one pair of listings; asset crystal, the-open-network\n"
    ), undone.stderr
    again = run_worker("identity undo 1 --reason mistaken", env, tmp_path)
    assert (again.returncode, again.stderr) == (
        1,
        "Error: correction 1: was revoked; see `worker identity show SLUG`\n",
    )


def test_a_decision_on_two_pairs_shows_both_numbers_and_the_second_undoes_it(
    engine: Engine, env: dict[str, str], tmp_path: Path
):
    load(engine, CSV, row("ton", "ton", "The Open Network"))

    merge = "identity merge the-open-network crystal --reason same --by ann"
    assert run_worker(merge, env, tmp_path).stdout == (
        "corrections 1, 2: the-open-network is crystal; asset crystal\n"
    )

    undone = run_worker("identity undo 2 --reason mistaken", env, tmp_path)
    assert undone.stdout == (
        "correction 2: revoked, 2 pairs of listings; asset crystal, the-open-network\n"
    ), undone.stderr


@pytest.mark.parametrize("command", ["list --asset nope", "list --asset nope --json", "show nope"])
def test_an_unknown_asset_is_an_error(env: dict[str, str], tmp_path: Path, command: str):
    said = run_worker(f"identity {command}", env, tmp_path)

    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr == "Error: no asset 'nope'; see `worker identity list`\n"


@pytest.mark.parametrize(
    "command", ["show the-open-network", "merge the-open-network crystal --reason same"]
)
def test_a_removed_asset_is_named_with_its_successor(
    env: dict[str, str], tmp_path: Path, command: str
):
    run_worker(LINK, env, tmp_path)

    said = run_worker(f"identity {command}", env, tmp_path)

    assert (said.returncode, said.stderr) == (
        1,
        "Error: asset 'the-open-network' was removed; its listings belong to crystal now\n",
    )


def test_an_asset_without_matching_listings_is_not_an_error(env: dict[str, str], tmp_path: Path):
    said = run_worker("identity list --asset crystal --source csv", env, tmp_path)

    assert (said.returncode, said.stdout) == (0, "no listings\n"), said.stderr


def test_a_command_names_an_id_that_looks_like_an_option(
    engine: Engine, env: dict[str, str], tmp_path: Path
):
    load(engine, CSV, row("-5", "meta", "Meta"), row("-6", "meta", "Meta"))
    load(engine, COINPAPRIKA, ticker("meta-meta", "META", "Meta"))

    for name in ("two_coins", "undo", "one_coin"):
        with api_on(engine.url) as client:
            found = client.get("/reviews?source=csv").json["data"]
        [command] = [
            each["commands"][name]
            for each in found
            if each["one"]["external_id"] == "-5" or each["other"]["external_id"] == "-5"
        ]
        typed = run_worker(command.removeprefix("worker ").replace("…", "asked"), env, tmp_path)
        assert typed.returncode == 0, (command, typed.stderr)


def test_a_review_shows_what_to_type_and_is_gone_once_typed(
    engine: Engine, env: dict[str, str], tmp_path: Path
):
    load(engine, COINGECKO, market("meta-1", "meta", "Meta"), market("meta-2", "meta", "Meta"))
    load(engine, COINPAPRIKA, ticker("meta-meta", "META", "Meta"))

    said = run_worker("identity review", env, tmp_path)
    command = "worker identity split coingecko meta-1 --from coinpaprika meta-meta"
    assert command in said.stdout, said.stdout + said.stderr
    with api_on(engine.url) as client:
        told = client.get("/reviews").json["data"]
    assert told
    for each in told:
        assert f"one coin:  {each['commands']['one_coin']}\n" in said.stdout
        assert f"two coins: {each['commands']['two_coins']}\n" in said.stdout
    before = json.loads(run_worker("identity review --json", env, tmp_path).stdout)

    typed = run_worker(f"{command.removeprefix('worker ')} --reason asked", env, tmp_path)

    assert typed.returncode == 0, typed.stderr
    after = json.loads(run_worker("identity review --json", env, tmp_path).stdout)
    assert len(after) == len(before) - 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"source,id,asset\n", "listings.csv, line 1: 'source,id,asset': expected the header"),
        (b"", "listings.csv, line 1: expected the header"),
        (b"source,external_id,asset\ncsv,a\n", "line 2: 2 cells; expected 3"),
        (b"source,external_id,asset\ncsv,,a\n", "line 2: external_id is empty"),
        (b"source,external_id,asset\nkraken,a,b\n", "line 2: 'kraken' is not a source"),
        (b"source,external_id,asset\ncsv,a,b\ncsv,a,c\n", "line 3: csv 'a' is 'c' here, but 'b'"),
        (b"source,external_id,asset\ncsv,\xff,b\n", "line 2: not UTF-8"),
        (b'source,external_id,asset\ncsv,"a"x,b\n', "line 2: "),
    ],
)
def test_a_wrong_file_is_named_with_its_line_and_nothing_changes(
    engine: Engine, env: dict[str, str], tmp_path: Path, content: bytes, message: str
):
    (tmp_path / "identity" / "listings.csv").write_bytes(content)

    for command in ("run --once --source csv", "identity list", "reprocess --source csv"):
        ran = run_worker(command, env, tmp_path)
        assert ran.returncode == 2, ran.stdout
        assert message in ran.stderr

    with engine.connect() as conn:
        assert not conn.scalar(select(func.count()).select_from(crosswalk))


@pytest.mark.parametrize(
    ("path", "why"), [("identiy", "No such file or directory"), ("ton.csv", "Not a directory")]
)
def test_a_missing_folder_revokes_no_line_of_the_crosswalk(
    engine: Engine, env: dict[str, str], tmp_path: Path, path: str, why: str
):
    file = tmp_path / "identity" / "ton.csv"
    file.write_text(TON_CROSSWALK)
    (tmp_path / "ton.csv").write_text(TON_CROSSWALK)
    assert run_worker("identity list", env, tmp_path).returncode == 0
    wrong = {**env, "IDENTITY_PATH": str(tmp_path / path)}

    for command in (
        "run --source csv",
        "run --once --source csv",
        f"import csv {file}",
        "rejects retry",
        "reprocess --source csv",
        "identity list",
        LINK,
    ):
        ran = run_worker(command, wrong, tmp_path)
        assert ran.returncode == 2, ran.stdout
        assert ran.stderr == (
            f"Error: IDENTITY_PATH is '{tmp_path / path}': {why}; expected a folder of crosswalk "
            "files; for no crosswalk, set it to an empty folder\n"
        )

    assert count_assets(engine) == 1
    with engine.connect() as conn:
        assert conn.scalar(select(func.count()).select_from(crosswalk)) == 2
        assert not conn.scalar(select(func.count()).select_from(runs).where(runs.c.source == "csv"))


@pytest.mark.parametrize("command", ["", "list", "show", "review"])
def test_the_help_says_that_commands_that_only_show_apply_the_files(
    env: dict[str, str], tmp_path: Path, command: str
):
    said = run_worker(f"identity {command} --help", env, tmp_path).stdout

    assert "applied" in said, said


def test_a_file_takes_effect_with_the_next_command_and_its_removal_too(
    engine: Engine, env: dict[str, str], tmp_path: Path
):
    file = tmp_path / "identity" / "ton.csv"
    file.write_text(TON_CROSSWALK)
    assert "crosswalk" in run_worker("identity list", env, tmp_path).stdout
    assert count_assets(engine) == 1
    assert verify(engine).findings == ()

    file.unlink()
    run_worker("identity list", env, tmp_path)
    assert count_assets(engine) == 2
    assert verify(engine).findings == ()


def test_beside_a_worker_at_its_batch_a_decision_waits_and_both_land(
    engine: Engine, env: dict[str, str], tmp_path: Path
):
    file = tmp_path / "more.json"
    file.write_bytes(b"[" + market("other", "oth", "Other") + b"]")
    with engine.connect() as blocker:
        blocker.exec_driver_sql("LOCK TABLE observations IN EXCLUSIVE MODE")
        with WarmWorker(f"import coingecko {file}", env, tmp_path) as batch:
            wait_until_blocked(engine)
            decision = WarmWorker(LINK, env, tmp_path)
            blocker.rollback()
            batch.communicate()
        assert batch.returncode == 0
    assert decision.wait() == 0, decision.err
    assert count_assets(engine) == 2
    assert verify(engine).findings == ()
