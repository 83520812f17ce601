"""What must be true of every record that is checked, whatever went in."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from shared.errors import SourceError
from shared.model.records import VALUES, Observation, RawRecord, Reject
from tests.fakes.batches import COINGECKO, COINPAPRIKA
from worker.ingest.checking.check import check
from worker.sources.base import Source

NOW = datetime(2026, 1, 2, 12, 1, tzinfo=UTC)
PAYLOADS = Path("tests/payloads")
JSON_SOURCES = {source.name: source for source in (COINGECKO, COINPAPRIKA)}


def exactly(payload: bytes | str) -> Any:
    """Decode JSON with every number as the decimal that its text is."""
    return json.loads(payload, parse_float=Decimal, parse_int=Decimal)


def assert_is_known(error: SourceError, *codes: str) -> None:
    assert error.code in codes


def examine(source: Source, record: RawRecord) -> Observation | Reject:
    """Check a record, and hold what must be true of what comes out, whatever went in."""
    checked = check(source, record, NOW)
    if isinstance(checked, Reject):
        assert checked.record is record
        assert checked.reasons
        assert all(reason and isinstance(reason, str) for reason in checked.reasons)
        json.dumps(list(checked.reasons), ensure_ascii=False).encode()
        return checked
    assert record.defect is None
    assert checked.observed_at.tzinfo is UTC
    for value in VALUES:
        found = getattr(checked, value)
        assert found is None or (type(found) is Decimal and found >= 0)
    return checked


def is_json(element: bytes) -> bool:
    try:
        json.loads(element)
    except (ValueError, RecursionError):
        return False
    return True


CSV_FILES = [
    (PAYLOADS / "csv.csv").read_bytes(),
    (PAYLOADS / "csv.csv").read_bytes().replace(b"\n", b"\r\n"),
    b"\xff\xfe" + (PAYLOADS / "csv.csv").read_text().encode("utf-16-le"),
    (
        b"id;symbol;name;price_usd;last_updated\n"
        b"btc;BTC;Bitcoin;8746.6;2020-01-14T00:00:00Z\n"
        b'eth;ETH;"Ether; the\nsecond";"166.9";1578960000\n'
    ),
]
