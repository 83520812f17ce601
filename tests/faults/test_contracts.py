"""Contracts that change hands, in any order of lists, and what identity makes of them."""

import itertools
import json

import pytest
from sqlalchemy import func, select, text

from shared.schema.identity import identity_events
from shared.schema.market import assets
from shared.schema.operations import rejects
from shared.schema.raw import RAW_LISTS
from tests.fakes import batches
from tests.fakes.cases import some_of
from tests.fakes.contract_lists import OFFLINE, USDT, coin, contract, held, load
from tests.fakes.runner import adapter
from worker.ingest.batch.rejects import OpenRejects
from worker.ingest.runs.options import Options
from worker.maintenance.reprocess import reprocess
from worker.maintenance.retry import retry
from worker.maintenance.verify import verify

LISTS = tuple(RAW_LISTS)


def test_an_older_list_never_replaces_a_newer_one(engine, tmp_path):
    load(engine, tmp_path, "coingecko_coins", [coin("a", ethereum="0xnew")], at=2)
    load(engine, tmp_path, "coingecko_coins", [coin("a", ethereum="0xnew")], at=9)
    late = load(engine, tmp_path, "coingecko_coins", [coin("a", ethereum="0xold")], at=5)

    assert late.counts.new == 1
    assert held(engine, "coingecko") == {("a", "ethereum", "0xnew")}
    reprocess(engine, adapter("coingecko_coins", OFFLINE))
    assert held(engine, "coingecko") == {("a", "ethereum", "0xnew")}
    assert verify(engine, [adapter("coingecko_coins", OFFLINE)]).findings == ()


def test_a_contract_that_goes_to_another_coin_leaves_the_first(engine, tmp_path):
    load(engine, tmp_path, "coinpaprika_contracts", [contract("old-old")], at=1)
    load(engine, tmp_path, "coinpaprika_contracts", [contract("new-new")], at=2)

    assert held(engine, "coinpaprika") == {("new-new", "ethereum", USDT.lower())}


def test_a_contract_that_two_coins_claim_at_once_is_of_both(engine, tmp_path):
    both = [contract("one-one"), contract("two-two")]
    load(engine, tmp_path, "coinpaprika_contracts", both, at=1)
    load(engine, tmp_path, "coinpaprika_contracts", both, at=2)

    assert {row[0] for row in held(engine, "coinpaprika")} == {"one-one", "two-two"}


def test_a_contract_that_is_not_active_is_none(engine, tmp_path):
    load(engine, tmp_path, "coinpaprika_contracts", [contract("a-a", active=True)], at=1)
    assert len(held(engine, "coinpaprika")) == 1

    load(engine, tmp_path, "coinpaprika_contracts", [contract("a-a", active=False)], at=2)

    assert held(engine, "coinpaprika") == set()


def test_the_contracts_of_an_old_id_stay_when_a_new_one_has_them(engine, tmp_path):
    load(engine, tmp_path, "coingecko_coins", [coin("old", ethereum=USDT)], at=1)
    load(engine, tmp_path, "coingecko_coins", [coin("new", ethereum=USDT)], at=2)

    assert {row[0] for row in held(engine, "coingecko")} == {"old", "new"}


LISTINGS_OF_DAYS = [
    ("coingecko_coins", "coins", 1, [coin("a", ethereum=USDT), coin("b", solana="Bb")]),
    ("coingecko_coins", "coins", 2, [coin("a", tron="T"), coin("b", solana="Bb")]),
    ("coingecko_coins", "coins", 3, [coin("a", ethereum=USDT), coin("b", solana="bb")]),
    ("coinpaprika_contracts", "eth-ethereum", 1, [contract("a-a"), contract("b-b")]),
    ("coinpaprika_contracts", "eth-ethereum", 2, [contract("b-b")]),
]


@pytest.mark.property
def test_lists_come_to_the_same_in_any_order(engine, tmp_path):
    found = set()
    orders = itertools.islice(itertools.permutations(LISTINGS_OF_DAYS), 0, 120, 7)
    for days in some_of(orders, 4):
        for source, name, at, records in days:
            load(engine, tmp_path, source, records, at, name)
        report = verify(engine, [adapter(name, OFFLINE) for name in LISTS])
        assert report.findings == ()
        assert held(engine, "coingecko") == {("a", "ethereum", USDT.lower()), ("b", "solana", "bb")}
        assert held(engine, "coinpaprika") == {("b-b", "ethereum", USDT.lower())}
        found.add(report.fingerprint)
        with engine.begin() as conn:
            tables = ["contract_claims", "contracts", *(raw.name for raw in RAW_LISTS.values())]
            conn.execute(text(f"TRUNCATE {', '.join(tables)}, runs, checkpoints, shapes, drift"))
    assert len(found) == 1


def test_a_refused_record_is_kept_and_can_be_retried(engine, tmp_path):
    broken = [*(coin(f"c{n}", ethereum=f"0x{n}") for n in range(20)), coin("bad", ethereum=7)]
    result = load(engine, tmp_path, "coingecko_coins", broken, at=1)
    assert (result.counts.new, result.counts.rejected) == (20, 1)
    with engine.connect() as conn:
        row = conn.execute(select(rejects)).one()
    assert row.external_id == "bad"
    assert row.reasons == ["platforms: 'ethereum': not an address: 7"]

    again = retry(engine, adapter("coingecko_coins", OFFLINE), OpenRejects(), Options())

    assert again.counts.rejected == 1
    assert verify(engine).findings == ()


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([{"address": USDT}], "id: Missing data for required field"),
        ([contract("a-a", 7)], "address: not a text: 7"),
        ([contract("a-a", active="yes")], "active: Not a valid boolean"),
        ([contract("a-a", "x" * 301)], "address: longer than 300 characters"),
    ],
)
def test_a_contract_that_is_none_is_refused(engine, tmp_path, records, reason):
    load(engine, tmp_path, "coinpaprika_contracts", records, at=1)

    with engine.connect() as conn:
        row = conn.execute(select(rejects)).one()
    assert row.reasons == [reason]
    assert json.loads(row.payload) == {"platform": "eth-ethereum", "contract": records[0]}


def test_identity_is_decided_anew_for_the_listings_whose_contracts_change(engine, tmp_path):
    batches.load(engine, batches.COINGECKO, batches.market("a", "aaa", "Alpha"))
    with engine.begin() as conn:
        conn.execute(text("UPDATE listings SET match_method = 'stale'"))

    load(engine, tmp_path, "coingecko_coins", [coin("b", ethereum=USDT)], at=1)
    with engine.connect() as conn:
        assert conn.scalar(text("SELECT match_method FROM listings")) == "stale"
    load(engine, tmp_path, "coingecko_coins", [coin("a", ethereum="0xa")], at=1)

    with engine.connect() as conn:
        assert conn.scalar(text("SELECT match_method FROM listings")) == "own"
        assert conn.scalar(select(func.count()).select_from(assets)) == 1
        assert conn.scalar(select(func.count()).select_from(identity_events)) == 1


def test_a_contract_that_is_gone_takes_a_link_apart_though_no_symbol_is_shared(engine, tmp_path):
    batches.load(engine, batches.COINGECKO, batches.market("foo", "xxx", "Foo"))
    batches.load(engine, batches.COINPAPRIKA, batches.ticker("yyy-bar", "YYY", "Bar"))
    load(engine, tmp_path, "coingecko_coins", [coin("foo", ethereum=USDT)], at=1, name="list")
    load(engine, tmp_path, "coinpaprika_contracts", [contract("yyy-bar")], at=1)
    assert count_assets(engine) == 1

    load(engine, tmp_path, "coinpaprika_contracts", [contract("yyy-bar", active=False)], at=2)

    assert count_assets(engine) == 2
    assert verify(engine).findings == ()


def test_a_coin_that_gives_up_a_contract_leaves_it_to_the_others_that_name_it(engine, tmp_path):
    coins = [batches.market("foo", "xxx", "Foo"), batches.market("zed", "zzz", "Zed")]
    batches.load(engine, batches.COINGECKO, *coins)
    batches.load(engine, batches.COINPAPRIKA, batches.ticker("yyy-bar", "YYY", "Bar"))
    both = [coin("foo", ethereum=USDT), coin("zed", ethereum=USDT)]
    load(engine, tmp_path, "coingecko_coins", both, at=1, name="list")
    load(engine, tmp_path, "coinpaprika_contracts", [contract("yyy-bar")], at=1)
    assert count_assets(engine) == 3

    load(engine, tmp_path, "coingecko_coins", [both[0], coin("zed")], at=2, name="list")

    assert count_assets(engine) == 2
    assert verify(engine).findings == ()


def test_a_price_of_what_is_one_by_contract_alone_is_decided_on_at_once(engine, tmp_path):
    """CSV's Foo has CoinGecko's symbol, and the price of CoinPaprika's, whose symbol is another."""
    load(engine, tmp_path, "coingecko_coins", [coin("foo", ethereum=USDT)], at=1, name="list")
    load(engine, tmp_path, "coinpaprika_contracts", [contract("yyy-bar")], at=1)
    foo = batches.market("foo", "xxx", "Foo", "null", circulating_supply=None)
    batches.load(engine, batches.COINGECKO, foo)
    batches.load(engine, batches.COINPAPRIKA, batches.ticker("yyy-bar", "YYY", "Bar", 100))
    batches.load(engine, batches.CSV, batches.row("foo", "XXX", "Foo", "1"))
    assert count_assets(engine) == 2

    agreeing = batches.ticker("yyy-bar", "YYY", "Bar", 1, batches.LATER)
    batches.load(engine, batches.COINPAPRIKA, agreeing)

    assert count_assets(engine) == 1
    assert verify(engine).findings == ()


def count_assets(engine):
    with engine.connect() as conn:
        return conn.scalar(select(func.count()).select_from(assets))
