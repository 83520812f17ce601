"""Where a list of pages ends: at an empty page, whatever the pages before it hold."""

import json
from collections.abc import Iterator

import pytest

from shared.errors import SourceError
from shared.model.records import Page
from tests.fakes import answers as says
from tests.fakes.upstream import Upstream
from worker.sources.coingecko import Coingecko
from worker.sources.json.api import Validator


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(assets=430) as running:
        yield running


def ids(pages: list[Page]) -> list[str]:
    return [record.document["id"] for page in pages for record in page.records]


def notices(pages: list[Page]) -> list[str]:
    return [page.notice for page in pages if page.notice]


def validators(pages: list[Page]) -> dict[str, str]:
    return {page.validator_key: page.validator for page in pages if page.validator}


def without_one(body: bytes) -> bytes:
    return json.dumps(json.loads(body)[1:]).encode()


@pytest.mark.parametrize("cap", [50, 100, 43])
def test_a_provider_that_caps_its_pages_is_read_to_the_end_and_named_once(
    cap, upstream, coingecko, http
):
    upstream.page_cap = cap

    pages = list(coingecko.pages(http, None, {}))

    assert ids(pages) == sorted(coin.slug for coin in upstream.market.coins)
    assert len(upstream.asked) == -(-430 // cap) + 1
    assert pages[-1].next_cursor is None
    (notice,) = notices(pages)
    assert f"page 1 has {cap} of the 250 requested records, and page 2 has more" in notice


def test_a_page_in_the_middle_that_is_one_coin_short_is_not_the_end(upstream, coingecko, http):
    upstream.answers(says.edited(without_one), page=1)

    pages = list(coingecko.pages(http, None, {}))

    assert [len(page.records) for page in pages] == [249, 180, 0]
    assert len(notices(pages)) == 1


def test_a_short_page_and_then_an_empty_one_are_the_end_and_nothing_to_report(coingecko, http):
    pages = list(coingecko.pages(http, None, {}))

    assert [len(page.records) for page in pages] == [250, 180, 0]
    assert not notices(pages)


def test_an_empty_market_is_asked_for_once(upstream, coingecko, http):
    upstream.always(says.empty_list())

    (page,) = coingecko.pages(http, None, {})

    assert (page.records, page.next_cursor) == ([], None)
    assert len(upstream.asked) == 1


def test_the_capped_pages_are_not_sent_again_while_they_are_the_same(upstream, coingecko, http):
    upstream.page_cap = 100
    known = validators(list(coingecko.pages(http, None, {})))

    pages = list(coingecko.pages(http, None, known))

    assert all(page.not_modified for page in pages)
    assert [page.known_count for page in pages] == [100, 100, 100, 100, 30, 0]


def test_a_capped_walk_goes_on_at_its_cursor(upstream, coingecko, http):
    upstream.page_cap = 50
    cursor = list(coingecko.pages(http, None, {}))[3].next_cursor

    assert cursor == {"page": 5, "held": 50}
    rest = list(coingecko.pages(http, cursor, {}))

    assert ids(rest) == sorted(coin.slug for coin in upstream.market.coins)[200:]


@pytest.mark.parametrize(
    ("cursor", "cap"),
    [({"page": 3, "held": 50}, 250), ({"page": 3, "held": 50}, 100), ({"page": 2}, 100)],
    ids=["cap lifted", "cap raised", "cap begun"],
)
def test_where_pages_changed_their_size_since_the_cursor_the_walk_begins_anew(
    cursor, cap, upstream, coingecko, http
):
    upstream.page_cap = cap

    pages = list(coingecko.pages(http, cursor, {}))

    (restart,) = [number for number, page in enumerate(pages) if page.restarts]
    assert (pages[restart].records, pages[restart].next_cursor) == ([], None)
    assert "read from the first page again" in pages[restart].notice
    assert ids(pages[restart:]) == sorted(coin.slug for coin in upstream.market.coins)


def test_a_walk_that_begins_anew_asks_for_every_page_in_full(upstream, coingecko, http):
    known = validators(list(coingecko.pages(http, None, {})))
    upstream.asked.clear()

    pages = list(coingecko.pages(http, {"page": 2, "held": 50}, known))

    first, *anew = upstream.asked
    assert "if-none-match" in first.headers
    assert [asked.params["page"] for asked in anew] == ["1", "2", "3"]
    assert not any("if-none-match" in asked.headers for asked in anew)
    assert ids(pages) == sorted(coin.slug for coin in upstream.market.coins)


def test_the_last_page_may_be_shorter_than_the_pages_before_the_cursor(upstream, coingecko, http):
    pages = list(coingecko.pages(http, {"page": 2}, {}))

    assert [len(page.records) for page in pages] == [180, 0]
    assert len(upstream.asked) == 2


@pytest.mark.parametrize("clamped", [2, 1])
def test_a_last_page_that_is_repeated_instead_of_an_empty_one_is_the_end(clamped, http):
    with Upstream(assets=430 if clamped == 2 else 3) as upstream:
        source = Coingecko(base_url=upstream.coingecko_url, requests_per_minute=1)
        pages = list(source.pages(http, None, {}))
        last = upstream.market.markets("id_asc")[250 if clamped == 2 else 0 :]
        body = says.listed(map(upstream.market.market, last))
        upstream.answers(body, page=clamped + 1)

        again = list(source.pages(http, None, {}))
        # The same with a page before it that is only known by its validator.
        upstream.answers(body, page=clamped + 1)
        known = list(source.pages(http, None, validators(pages)))

    assert ids(again) == ids(pages)
    assert (again[-1].records, again[-1].next_cursor) == ([], None)
    assert "treated as the end" in again[-1].notice
    assert [page.not_modified for page in known] == [True] * clamped + [False]
    assert known[-1].records == []


@pytest.mark.parametrize("cap", [250, 50])
def test_a_full_page_that_is_repeated_is_a_loop(cap, upstream, coingecko, http):
    upstream.page_cap = cap
    first = says.listed(map(upstream.market.market, upstream.market.markets("id_asc")[:cap]))
    upstream.answers(first, page=3)

    with pytest.raises(SourceError, match="page 3 has the same records as page 1") as no:
        list(coingecko.pages(http, None, {}))

    assert no.value.code == "paging_loop"


@pytest.mark.parametrize(
    ("text", "validator"),
    [
        ('250 W/"a b"', Validator('W/"a b"', 250)),
        ('250 W/"a" 0123456789abcdef', Validator('W/"a"', 250, "0123456789abcdef")),
        ("0 0123456789abcdef", Validator("0123456789abcdef", 0)),
    ],
)
def test_a_validator_of_the_release_before_is_read(text, validator):
    assert Validator.parse(text) == validator
    assert validator.dump() == text
