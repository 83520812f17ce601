"""Listings for identity to judge."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zlib import crc32

from worker.identity.resolver.evidence import Candidate, Name, Resolution, Ruling
from worker.identity.resolver.resolver import resolve

NOON = datetime(2022, 5, 1, 12, tzinfo=UTC)


def called(*names: tuple[int, str, str]) -> frozenset[Name]:
    """Make a listing's names of the day since when, symbol and name."""
    return frozenset(Name(symbol, name, NOON + timedelta(day)) for day, symbol, name in names)


def listing(ref: str, symbol: str, name: str, **values: Any) -> Candidate:
    """Make a listing of `gecko:ID`, `paprika:ID` or `csv:ID`; numbers may be given as text."""
    source, _, external_id = ref.partition(":")
    source = {"gecko": "coingecko", "paprika": "coinpaprika"}.get(source, source)
    values = {
        key: Decimal(value) if isinstance(value, str | int) else value
        for key, value in values.items()
    }
    values["contracts"] = frozenset(values.get("contracts", ()))
    at = values.pop("observed_at", NOON)
    number = crc32(ref.encode())
    return Candidate(number, source, external_id, symbol, name, at, **values)


def contract(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {"contracts": pairs}


def ruling(one: Candidate, other: Candidate, *, same: bool, origin: Any = "correction") -> Ruling:
    return Ruling(one.ref, other.ref, same, origin)


def together(resolution: Resolution, *listings: Candidate) -> bool:
    """Say whether the listings, and no others, are one asset."""
    return frozenset(one.listing_id for one in listings) in resolution.clusters


def apart(*listings: Candidate) -> bool:
    """Say whether these listings, resolved, are an asset each and leave nothing to ask."""
    resolution = resolve(listings, [])
    return len(resolution.clusters) == len(listings) and not resolution.matches


def verdicts(resolution: Resolution) -> list[tuple[str, str]]:
    """List each match's method and verdict: `linked`, or why it is a review."""
    found = ((m.method, m.evidence.get("why", m.verdict)) for m in resolution.matches)
    return sorted(found)
