"""The contract that every source keeps.

A new source is a file in `worker/sources`, a line in its registry, and a sample payload in
`tests/payloads` that is named after it; these tests then hold for it too.
"""

import ast
import inspect
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from marshmallow import Schema, ValidationError

from shared.model.catalogue import EXPECTATIONS, LISTING_SOURCES, SOURCES
from shared.model.records import VALUES, Claim, Cursor, Observation, Page, RawRecord
from shared.schema.raw import EVERY_RAW, RAW, RAW_LISTS
from shared.settings import Settings
from worker.ingest.checking.check import check
from worker.sources import REGISTRY
from worker.sources.base import Policy, Request, Response, Source

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PAYLOADS = Path(__file__).parent.parent / "payloads"
FORBIDDEN = {"requests", "urllib3", "sqlalchemy", "psycopg2", "structlog", "logging", "time"}
ODDITIES: tuple[Any, ...] = (
    *(None, "", "x", "1", "NaN", "\ud800", "\0", True, -1, 10**4000, [], [[]], {}),
    *(Decimal("NaN"), Decimal("-Infinity"), Decimal("1e400")),
    *({"USD": None}, {"USD": []}, {"USD": {"price": {}}}),
)


@pytest.fixture(params=sorted(REGISTRY))
def name(request) -> str:
    return request.param


@pytest.fixture
def payload(name) -> Path:
    (path,) = PAYLOADS.glob(f"{name}.*")
    return path


@pytest.fixture
def source(name, payload) -> Source:
    """The source as a bare environment makes it, but for the files it would read."""
    return REGISTRY[name].from_settings(Settings.from_env({"CSV_PATH": str(payload)}))


@pytest.fixture
def records(source, payload) -> list[RawRecord]:
    return [record for page in source.saved_pages(payload) for record in page.records]


@pytest.fixture
def document(records) -> dict[str, Any]:
    return dict(records[0].document)


def pages(source: Source, payload: Path, cursor: Cursor | None) -> Iterator[Page]:
    """The pages of a source that is answered with its sample payload."""

    def fetch(request: Request, validator: str | None = None) -> Response:
        assert request.url.startswith("https://")
        assert validator is None
        if request.url.endswith("/contracts"):
            return Response(b'["coinpaprika_contracts"]')
        if request.params.get("page", "1") != "1":
            return Response(b"[]")
        return Response(payload.read_bytes(), 'W/"1"', fetched_at=NOON)

    return source.pages(fetch, cursor, {})


def test_a_source_is_known_by_one_name_everywhere(name):
    assert REGISTRY[name].name == name
    assert name in SOURCES
    assert name in EVERY_RAW


def test_the_sources_of_listings_are_those_whose_records_are_observations():
    assert set(LISTING_SOURCES) == set(RAW)
    assert set(SOURCES) - set(LISTING_SOURCES) == set(RAW_LISTS)


def test_every_name_that_can_be_configured_is_a_source():
    assert set(REGISTRY) == set(SOURCES) == set(EXPECTATIONS)


def test_a_source_declares_what_is_normal_for_it(source):
    assert isinstance(source.schema, Schema)
    assert 0 < source.expects.max_reject_share < 1
    assert (source.expects.min_snapshot_share is not None) == source.is_snapshot
    assert source.max_clock_ahead > timedelta(0)
    assert isinstance(source.is_snapshot, bool)


@pytest.mark.parametrize(
    ("name", "path", "policy"),
    [
        ("coingecko", "current_price", Policy.FAIL),
        ("coinpaprika", "quotes.USD.price", Policy.FAIL),
        ("coinpaprika", "circulating_supply", Policy.ACCEPT),
        ("coingecko_coins", "platforms", Policy.FAIL),
        ("coingecko_coins", "platforms.solana", Policy.FAIL),
        ("coinpaprika_contracts", "id", Policy.FAIL),
        ("coinpaprika_contracts", "address", Policy.FAIL),
        ("coinpaprika_contracts", "active", Policy.ACCEPT),
        ("coinpaprika", "rank", Policy.WARN),
    ],
)
def test_drift_of_a_field_has_its_declared_policy(source, path, policy):
    assert source.policy(path) is policy


def test_a_source_says_where_it_is_documented_or_what_it_reads(name):
    assert len((inspect.getmodule(REGISTRY[name]).__doc__ or "").splitlines()) > 1


def test_a_source_is_pure(name):
    tree = ast.parse(inspect.getsource(inspect.getmodule(REGISTRY[name])))
    imported = {
        part.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for part in [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
    }

    assert not imported & FORBIDDEN


def test_a_source_never_shows_its_key():
    settings = Settings.from_env(
        {
            "COINGECKO_API_KEY": "s3cret",
            "COINGECKO_PLAN": "demo",
            "COINPAPRIKA_API_KEY": "s3cret",
        }
    )

    for source in REGISTRY.values():
        assert "s3cret" not in repr(source.from_settings(settings))


def test_every_record_of_the_sample_says_something(source, records):
    now = datetime.now(UTC) + timedelta(days=1)

    checked = [check(source, record, now) for record in records if record.document]

    assert len(records) >= 3
    assert all(isinstance(each, Observation | Claim) for each in checked), checked
    assert len({each.external_id for each in checked}) == len(records)


@pytest.mark.parametrize("name", LISTING_SOURCES)
def test_an_observation_is_typed(source, records):
    for record in records:
        observation = source.observe(record.document)
        assert observation.external_id == observation.external_id.strip() != ""
        assert observation.observed_at.tzinfo is UTC
        assert all(isinstance(getattr(observation, value), Decimal | None) for value in VALUES)
        assert any(getattr(observation, value) is not None for value in VALUES)


@pytest.mark.parametrize("name", RAW_LISTS)
def test_a_claim_is_typed(source, records):
    claims = [source.read(record) for record in records]

    assert all(each.external_id and each.coin == each.coin.strip() != "" for each in claims)
    assert all(each.observed_at.tzinfo is UTC for each in claims)
    assert {len(each.contracts) for each in claims} >= {0, 1}


@pytest.mark.parametrize("name", LISTING_SOURCES)
def test_the_sample_shows_a_value_of_every_kind(source, records):
    observations = [source.observe(record.document) for record in records]

    for value in VALUES:
        assert any(getattr(each, value) is not None for each in observations), value
        assert all(
            getattr(each, value) is None or getattr(each, value) >= 0 for each in observations
        )


def test_what_is_stored_says_what_was_read(source, records):
    """A reprocessing reads the payload again, out of JSONB."""
    for record in records:
        stored = msgspec.json.Decoder(float_hook=Decimal).decode(record.payload)
        assert stored == record.document
        assert said(source, stored) == said(source, record.document)


def test_reading_twice_reads_the_same(source, payload, records):
    again = [record for page in source.saved_pages(payload) for record in page.records]

    assert again == records
    assert len({record.position for record in records}) == len(records)


def test_a_field_that_nobody_knew_changes_nothing(source, document):
    assert said(source, document | {"a new field": [1]}) == said(source, document)


def test_an_empty_document_is_refused_with_reasons(source):
    with pytest.raises(ValidationError) as no:
        said(source, {})

    assert no.value.messages


def said(source: Source, document: dict[str, Any]) -> Observation | Claim:
    """What a document says that was fetched at noon."""
    return source.read(RawRecord(b"", "", document, fetched_at=NOON))


def outcome(source: Source, document: dict[str, Any]) -> Any:
    """The observation, or the reasons for a refusal; anything else is raised."""
    try:
        return said(source, document)
    except ValidationError as refusal:
        return refusal.messages


def test_whatever_a_field_holds_it_is_an_observation_or_a_refusal(source, document):
    for key in document:
        for oddity in ODDITIES:
            assert outcome(source, document | {key: oddity})


def test_a_field_that_is_gone_is_an_observation_or_a_refusal(source, document):
    for key in document:
        assert outcome(source, {name: document[name] for name in document if name != key})


def test_pages_join_up_and_come_to_an_end(source, payload, records):
    read = list(pages(source, payload, None))

    assert read[0].cursor in (None, {"files": {}}, {"platform": "coinpaprika_contracts"})
    assert [page.cursor for page in read[1:]] == [page.next_cursor for page in read[:-1]]
    assert [record.document for page in read for record in page.records] == [
        record.document for record in records
    ]


def test_a_cursor_can_be_stored_and_gone_on_from(source, payload):
    read = list(pages(source, payload, None))

    for number, page in enumerate(read):
        cursor = json.loads(json.dumps(page.cursor))
        rest = list(pages(source, payload, cursor))
        # After short pages alone, larger ones may have taken their place: it begins anew.
        expected = [Page([], page.cursor, None), *read] if rest[0].restarts else read[number:]
        assert [each.records for each in rest] == [each.records for each in expected]
