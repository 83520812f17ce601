"""Renames: noticed, kept, found again under the old name, and the same in any order."""

from itertools import permutations
from random import Random

import pytest
from sqlalchemy import Engine, delete, select, update
from structlog.testing import capture_logs

from shared.schema.identity import identity_events, listing_names, matches
from shared.schema.market import assets, listings
from tests.fakes.batches import COINGECKO, COINPAPRIKA, EARLIER, LATER, NOON, load, market, ticker
from tests.fakes.cases import sparse
from worker.maintenance.reprocess import reprocess
from worker.maintenance.verify import verify

TERRA = market("terra", "luna", "Terra", 1, EARLIER)
CLASSIC = market("terra", "lunc", "Terra Classic", 1, NOON)


def names(engine: Engine) -> set[tuple[str, str, str]]:
    stmt = select(listings.c.external_id, listing_names).join(
        listing_names, listing_names.c.listing_id == listings.c.id
    )
    with engine.connect() as conn:
        return {
            (row.symbol, row.name, row.first_observed_at.strftime("%H:%M"))
            for row in conn.execute(stmt)
        }


def former_names(engine: Engine) -> list[list[str]]:
    with engine.connect() as conn:
        found = conn.scalars(select(assets.c.former_names).order_by(assets.c.slug))
        return [each.splitlines() for each in found]


def test_a_rename_is_kept_and_noted_and_the_asset_knows_its_old_name(engine: Engine):
    load(engine, COINGECKO, TERRA)
    load(engine, COINGECKO, CLASSIC)

    assert names(engine) == {("luna", "Terra", "11:55"), ("lunc", "Terra Classic", "12:00")}
    assert former_names(engine) == [["Terra", "luna"]]
    with engine.connect() as conn:
        events = conn.execute(select(identity_events)).all()
    assert [(event.method, event.evidence) for event in events] == [
        (
            "renamed",
            {
                "was": {"symbol": "luna", "name": "Terra"},
                "now": {"symbol": "lunc", "name": "Terra Classic"},
            },
        )
    ]
    assert not verify(engine, [COINGECKO]).findings


HISTORY = (
    market("terra", "luna", "Terra", 1, EARLIER),
    market("terra", "lunc", "Terra Classic", 1, NOON),
    market("terra", "luna", "Terra", 1, LATER),
)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_names_and_their_first_times_are_the_same_in_any_order(engine: Engine, order):
    for n in order:
        load(engine, COINGECKO, HISTORY[n])

    assert names(engine) == {("luna", "Terra", "11:55"), ("lunc", "Terra Classic", "12:00")}
    assert former_names(engine) == [["Terra Classic", "lunc"]]
    assert not verify(engine, [COINGECKO]).findings


def test_renames_are_told_in_the_log_the_first_ones_by_name(engine: Engine):
    load(engine, COINGECKO, *(market(f"x{n:02}", "x", f"Coin {n}", 1, EARLIER) for n in range(12)))

    with capture_logs() as told:
        load(engine, COINGECKO, *(market(f"x{n:02}", "y", f"Ex {n}", 1, NOON) for n in range(12)))

    assert told[0] == {
        "log_level": "warning",
        "event": "listing renamed",
        "listing": "x00",
        "was": "Coin 0 (x)",
        "now": "Ex 0 (y)",
    }
    assert [line.get("count") for line in told] == [None] * 10 + [2]


def test_what_another_source_calls_it_is_also_found_and_capitals_make_no_name(engine: Engine):
    load(engine, COINGECKO, market("bitcoin", "btc", "Bitcoin"))
    load(engine, COINPAPRIKA, ticker("btc-bitcoin", "BTC", "BITCOIN Token"))

    with engine.connect() as conn:
        assert conn.scalar(select(assets.c.source_count)) == 2
    assert former_names(engine) == [["BITCOIN Token"]]
    assert not verify(engine).findings


DAYS = [f"2026-01-{day:02}T12:00:00.000Z" for day in range(1, 10)]
TWO_CALLED_ONE = (
    (COINGECKO, market("nano", "nano", "Nano", 1, DAYS[0])),
    (COINPAPRIKA, ticker("nano-nano", "NANO", "Nano", 1, DAYS[1])),
    (COINGECKO, market("nano", "nano", "Nano", 1, DAYS[2])),
    (COINGECKO, market("nano", "xno", "Nano", 1, DAYS[4])),
)


@pytest.mark.parametrize("order", sparse(map(list, permutations(range(4))), 6))
def test_a_rename_at_one_source_parts_no_coin_in_any_order(engine: Engine, order):
    for n in order:
        load(engine, *TWO_CALLED_ONE[n])

    with engine.connect() as conn:
        assert conn.execute(select(assets.c.slug, assets.c.source_count)).all() == [("nano", 2)]
        [match] = conn.execute(select(matches)).all()
    assert (match.method, match.verdict) == ("former_name", "linked")
    assert match.evidence["was"] == {"symbol": "nano", "name": "Nano"}
    before = verify(engine, [COINGECKO, COINPAPRIKA])
    assert not before.findings
    reprocess(engine, COINGECKO)
    assert verify(engine, [COINGECKO, COINPAPRIKA]) == before


def test_who_takes_the_old_name_is_another_coin_and_the_slug_stays(engine: Engine):
    load(engine, COINGECKO, market("terra-luna", "luna", "Terra", 1, DAYS[0]))
    load(engine, COINPAPRIKA, ticker("luna-terra", "LUNA", "Terra", 1, DAYS[0]))

    load(
        engine,
        COINGECKO,
        market("terra-luna", "lunc", "Terra Luna Classic", 1, DAYS[5]),
        market("terra-luna-2", "luna", "Terra", 80, DAYS[5]),
    )

    stmt = select(listings.c.external_id, assets.c.slug).join(assets)
    with engine.connect() as conn:
        assert dict(conn.execute(stmt).all()) == {
            "terra-luna": "terra",
            "luna-terra": "terra",
            "terra-luna-2": "terra~terra-luna-2",
        }
    assert not verify(engine, [COINGECKO, COINPAPRIKA]).findings


def test_a_price_is_compared_with_who_was_called_the_same(engine: Engine):
    for source, record in TWO_CALLED_ONE:
        load(engine, source, record)

    for hour in ("T12", "T16", "T20"):
        at = DAYS[4].replace("T12", hour)
        load(engine, COINGECKO, market("nano", "xno", "Nano", 1, at))
        load(engine, COINPAPRIKA, ticker("nano-nano", "NANO", "Nano", 9, at))

    with engine.connect() as conn:
        [match] = conn.execute(select(matches)).all()
        assert (match.verdict, match.evidence["why"]) == ("review", "prices_differ")
        left = conn.scalars(
            select(identity_events.c.evidence["left"]).where(identity_events.c.method == "own")
        ).all()
    told = {"method": "former_name", "why": "prices_differ"}
    assert sorted(left, key=str) == [
        [{**told, "source": "coingecko", "external_id": "nano"}],
        [{**told, "source": "coinpaprika", "external_id": "nano-nano"}],
    ]
    load(engine, COINGECKO, market("nano", "xno", "Nano", 9, DAYS[5]))
    load(engine, COINPAPRIKA, ticker("nano-nano", "NANO", "Nano", 9, DAYS[5]))
    with engine.connect() as conn:
        assert conn.scalars(select(assets.c.source_count)).all() == [2]
    assert not verify(engine, [COINGECKO, COINPAPRIKA]).findings


def test_verify_bears_with_a_present_name_that_is_not_kept(engine: Engine):
    load(engine, COINGECKO, market("terra-luna", "luna", "Terra", "null", DAYS[0]))
    load(engine, COINPAPRIKA, ticker("luna-terra", "LUNA", "Terra", 1, DAYS[0]))
    load(engine, COINGECKO, market("terra-luna", "lunc", "Classic", "null", DAYS[5]))
    load(engine, COINGECKO, market("terra-2", "lun", "Ter", "null", DAYS[4]))
    load(engine, COINGECKO, market("terra-2", "luna", "Terra", "null", DAYS[5]))
    newcomer = select(listings.c.id).where(listings.c.external_id == "terra-2").scalar_subquery()
    n = listing_names.c
    with engine.begin() as conn:
        damage = delete(listing_names).where(n.listing_id == newcomer, n.name == "Terra")
        assert conn.execute(damage).rowcount == 1

    found = {each.check for each in verify(engine, [COINGECKO]).findings}
    assert "names_are_what_raw_says (coingecko)" in found

    reprocess(engine, COINGECKO)
    assert verify(engine, [COINGECKO]).findings == ()


@pytest.mark.parametrize(
    ("symbol", "name"), [("x", "Bit  Coin"), ("\u0131", "Dotless"), ("\u00df", "X")]
)
def test_what_is_called_one_thing_alone_has_no_former_name(engine: Engine, symbol: str, name: str):
    load(engine, COINGECKO, market("one", symbol, name))
    assert former_names(engine) == [[]]
    reprocess(engine, COINGECKO)

    assert former_names(engine) == [[]]
    assert not verify(engine, [COINGECKO]).findings


def test_a_price_under_the_known_name_writes_no_name(engine: Engine):
    load(engine, COINGECKO, TERRA)
    with engine.connect() as conn:
        before = conn.scalars(select(assets.c.version)).all()

    load(engine, COINGECKO, market("terra", "luna", "Terra", 2, LATER))

    assert names(engine) == {("luna", "Terra", "11:55")}
    with engine.connect() as conn:
        assert conn.scalars(select(assets.c.version)).all() == [before[0] + 1]
        assert conn.execute(select(identity_events)).all() == []


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        (delete(listing_names).where(listing_names.c.name == "Terra"), "names_are_what_raw_says"),
        (update(listing_names).values(first_observed_at=LATER), "names_are_what_raw_says"),
        (
            update(listing_names).where(listing_names.c.name == "Terra").values(name="Evil"),
            "names_are_what_raw_says",
        ),
        (update(assets).values(former_names="Evil"), "assets_show_what_they_were_called"),
    ],
    ids=["a name that is gone", "another time", "a name that none gave", "another former name"],
)
def test_verify_finds_damaged_names_and_reprocess_mends_them(engine: Engine, damage, check):
    load(engine, COINGECKO, TERRA, CLASSIC)
    before = verify(engine, [COINGECKO])
    assert not before.findings
    with engine.begin() as conn:
        assert conn.execute(damage).rowcount

    found = {each.check: each for each in verify(engine, [COINGECKO]).findings}
    assert any(each.startswith(check) for each in found), found

    reprocess(engine, COINGECKO)
    assert verify(engine, [COINGECKO]) == before


def test_labels_of_the_greatest_length_are_read_again_as_they_were_stored(engine: Engine):
    dice = Random(1)

    def label() -> str:
        """Characters of four bytes each, in which there is nothing to compress."""
        return "".join(chr(dice.randrange(0x20000, 0x2A6D0)) for _ in range(300))

    assert load(engine, COINGECKO, market(label(), label(), label())).new == 1

    reprocess(engine, COINGECKO)

    assert verify(engine, [COINGECKO]).findings == ()
