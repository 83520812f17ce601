"""What holds of any listings and rulings; few symbols, names and contracts make them clash."""

from datetime import timedelta
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.listings import NOON, called, listing
from worker.identity.resolver.evidence import Ruling
from worker.identity.resolver.labels.names import normalise
from worker.identity.resolver.resolver import resolve

SOURCES = ("gecko", "paprika", "csv:a", "csv:b")
NAMES = (
    "Meta",
    "Meta Token",
    "Meta DAO",
    "Wrapped Meta",
    "Meta (Wormhole)",
    "Meta [OLD]",
    "Abc",
    "Other",
    "",
)
IDS = ("meta", "meta-2", "abc-meta", "abc", "7", "x")


SYMBOLS = ("ABC", "abc", "ABCCOIN", "xyz", "uvw", "")
DAYS = st.sampled_from((0, 5, 20))


def drawn_listing(draw, ref):
    chains = draw(st.lists(st.tuples(st.sampled_from("ef"), st.sampled_from("012")), max_size=2))
    symbols, names = st.sampled_from(SYMBOLS), st.sampled_from(NAMES)
    symbol, name = draw(symbols), draw(names)
    told = draw(st.lists(st.tuples(st.sampled_from((0, 1, 9)), symbols, names), max_size=2))
    told = {each[1:]: each for each in told if each[1:] != (symbol, name)}
    return listing(
        ref,
        symbol,
        name,
        names=called(*told.values(), (draw(DAYS), symbol, name)),
        price_usd=draw(st.sampled_from((None, "1", "1.05", "7"))),
        circulating_supply=draw(st.sampled_from((None, "1", "18741512", "18741500"))),
        observed_at=NOON + timedelta(hours=draw(st.sampled_from((0, 2)))),
        contracts=chains,
        is_delisted=draw(st.booleans()),
    )


@st.composite
def worlds(draw):
    """Draw listings, and what was ruled of some."""
    refs = [f"{source}:{external_id}" for source in SOURCES for external_id in IDS]
    chosen = draw(st.lists(st.sampled_from(refs), unique=True, min_size=1, max_size=9))
    listings = [drawn_listing(draw, ref) for ref in chosen]
    rulings = [
        Ruling(draw(one).ref, draw(one).ref, draw(st.booleans()), draw(origin))
        for one, origin in [
            (st.sampled_from(listings), st.sampled_from(("correction", "crosswalk")))
        ]
        for _ in range(draw(st.integers(0, 3)))
    ]
    return listings, rulings


def clusters(resolution):
    return set(resolution.clusters)


def matches(resolution):
    return {(m.listing_id, m.other_listing_id): m for m in resolution.matches}


def reachable_contracts(one, members):
    """Gather the contracts of a listing, of those that share one of them, and so on."""
    reached = set(one.contracts)
    for _ in members:
        reached.update(*(m.contracts for m in members if m.contracts & reached))
    return reached


@given(worlds(), st.randoms())
def test_the_order_of_listings_and_rulings_never_matters(world, random):
    listings, rulings = world
    once = resolve(listings, rulings)
    random.shuffle(listings)
    random.shuffle(rulings)

    again = resolve(listings, rulings)

    assert clusters(again) == clusters(once)
    assert matches(again) == matches(once)


@given(worlds())
def test_every_listing_is_in_one_cluster_and_every_link_within_one(world):
    listings, rulings = world

    resolution = resolve(listings, rulings)

    cluster_of = {number: ids for ids in resolution.clusters for number in ids}
    assert sum(map(len, resolution.clusters)) == len(cluster_of) == len(listings)
    assert len(matches(resolution)) == len(resolution.matches)
    for match in resolution.matches:
        is_one = cluster_of[match.listing_id] == cluster_of[match.other_listing_id]
        assert is_one == (match.verdict == "linked")


@given(worlds())
def test_the_links_alone_hold_each_cluster_together(world):
    listings, rulings = world

    resolution = resolve(listings, rulings)

    reached = {one.listing_id: {one.listing_id} for one in listings}
    for match in resolution.matches:
        if match.verdict == "linked":
            merged = reached[match.listing_id] | reached[match.other_listing_id]
            reached.update(dict.fromkeys(merged, merged))
    assert {frozenset(ids) for ids in reached.values()} == clusters(resolution)


@given(worlds())
def test_no_cluster_holds_two_listed_ones_of_a_side_without_a_ruling(world):
    listings, _ = world

    for ids in resolve(listings, []).clusters:
        listed = [one for one in listings if one.listing_id in ids and not one.is_delisted]
        assert len(listed) == len({one.side for one in listed})


@given(worlds())
def test_those_that_are_listed_are_judged_as_if_no_other_were_there(world):
    listings, rulings = world
    listed = [one for one in listings if not one.is_delisted]
    refs = {one.ref for one in listed}
    rulings = [ruling for ruling in rulings if {ruling.one, ruling.other} <= refs]
    numbers = {one.listing_id for one in listed}

    alone = resolve(listed, rulings)

    among = {ids & numbers for ids in resolve(listings, rulings).clusters}
    for ids in alone.clusters:
        assert any(ids <= found for found in among)


@given(worlds())
def test_no_cluster_joins_what_a_ruling_keeps_apart(world):
    listings, rulings = world
    number = {one.ref: one.listing_id for one in listings}

    found = resolve(listings, rulings).clusters

    corrected = {
        frozenset((r.one, r.other)) for r in rulings if r.same and r.origin == "correction"
    }
    for ruling in rulings:
        overruled = ruling.origin == "crosswalk" and {ruling.one, ruling.other} in corrected
        if not ruling.same and ruling.one != ruling.other and not overruled:
            pair = {number[ruling.one], number[ruling.other]}
            assert not any(pair <= ids for ids in found)


@given(worlds())
def test_no_cluster_joins_a_variant_or_another_contract_without_a_ruling(world):
    listings, _ = world
    by_number = {one.listing_id: one for one in listings}

    for ids in resolve(listings, []).clusters:
        members = [by_number[number] for number in ids]
        assert len({("Wormhole" in m.name, "Wrapped" in m.name) for m in members}) == 1
        for one, other in combinations(members, 2):
            both = {chain for chain, _ in one.contracts} & {chain for chain, _ in other.contracts}
            assert not both or other.contracts & reachable_contracts(one, members)


def closed_blocks(listings, rulings):
    """Part listings into those that share a symbol of any day, a name, a contract or a ruling."""
    blocks = []
    for one in listings:
        ruled = [{r.one, r.other} for r in rulings if one.ref in {r.one, r.other}]
        named = {("s", normalise(each.symbol) or one.ref) for each in one.names}
        keys = {
            *named,
            ("n", normalise(one.name) or one.ref),
            *one.contracts,
            *map(frozenset, ruled),
        }
        related = [block for block in blocks if block[0] & keys]
        blocks = [block for block in blocks if not block[0] & keys]
        keys.update(*(block[0] for block in related))
        blocks.append((keys, [one, *(other for block in related for other in block[1])]))
    return [block[1] for block in blocks]


@given(worlds())
def test_closed_blocks_give_the_same_each_by_itself(world):
    listings, rulings = world

    parts = [resolve(block, rulings) for block in closed_blocks(listings, rulings)]

    whole = resolve(listings, rulings)
    assert set().union(*map(clusters, parts)) == clusters(whole)
    assert {key: match for part in parts for key, match in matches(part).items()} == matches(whole)


@given(worlds())
def test_an_unrelated_listing_changes_nothing(world):
    listings, rulings = world
    before = resolve(listings, rulings)
    stranger = listing("gecko:stranger", "str", "Stranger", contracts=[("e", "9")])

    after = resolve([*listings, stranger], rulings)

    assert clusters(after) == clusters(before) | {frozenset({stranger.listing_id})}
    assert matches(after) == matches(before)
