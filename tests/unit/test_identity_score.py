from tests.bench.identity import score
from tests.bench.identity_market import Market
from tests.fakes.listings import listing

LISTINGS = [
    listing("gecko:one", "one", "One"),
    listing("gecko:two", "two", "Two"),
    listing("gecko:new", "new", "New"),
    listing("paprika:one-one", "ONE", "One"),
    listing("paprika:two-two", "TWO", "Two"),
    listing("paprika:new-of-late", "NEW", "New"),
    listing("paprika:stranger", "X", "Stranger"),
]
PAIRS = {"one": "one-one", "two": "two-two", "new": "new-before", "gone": "new-of-late"}
MARKET = Market(LISTINGS, PAIRS, is_complete=False)


def test_a_link_is_right_wrong_or_the_lists_cannot_tell():
    links = {("one", "one-one"), ("two", "stranger"), ("new", "new-of-late"), ("x", "stranger")}

    result = score(links, PAIRS, MARKET)

    assert (result.pairs, result.found, result.right) == (2, 1, 1)
    assert result.wrong == {("two", "stranger")}
    assert result.unlisted == {("new", "new-of-late")}
    assert result.missed == {("two", "two-two")}
    assert (result.precision, result.precision_at_worst) == (1 / 2, 1 / 3)


def test_a_link_to_what_is_another_coin_s_is_wrong_from_either_side_and_in_either_half():
    assert score({("new", "two-two")}, {"new": "new-before"}, MARKET).wrong
    assert score({("two", "new-of-late")}, {"gone": "new-of-late"}, MARKET).wrong


def test_of_a_complete_market_every_other_link_is_wrong():
    links = {("one", "one-one"), ("new", "stranger")}

    result = score(links, {"one": "one-one"}, Market(LISTINGS, {"one": "one-one"}))

    assert result.wrong == {("new", "stranger")}
