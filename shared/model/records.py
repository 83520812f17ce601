"""What a source's pages are made of: raw records, and what they say.

What there is of each record is a named tuple: one is made in a third of the time of a dataclass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

Cursor = Mapping[str, Any]
"""Where a source's next page starts, in that source's terms. JSON, opaque to everything else."""


class Newest(NamedTuple):
    """What is known of a listing's newest record without reading it.

    `digest` is of its bytes, `shape` the key of its shape.
    """

    digest: str
    external_id: str
    shape: str


class RawRecord(NamedTuple):
    """One element of a response, as received.

    `payload` holds the element's own bytes. `document` is what they decode to (floats as
    `Decimal`), or None where they do not decode; `defect` then says why. `position` tells a
    person where the record stood ("page 3, record 17", "prices.csv, line 120"). `fetched_at` is
    by our clock, and there where the record has no time of its own.

    By its `digest` a record is recognised when it comes again, if it can be. One of which the
    listing's `newest` is there was recognised: its listing shows it already, and it is not decoded.
    """

    payload: bytes
    position: str
    document: Mapping[str, Any] | None
    defect: str | None = None
    fetched_at: datetime | None = None
    digest: str | None = None
    newest: Newest | None = None


class Observation(NamedTuple):
    """What one raw record says of one listing at one instant.

    Money is US dollars; supplies are in units of the asset. None means that the source does not
    know. `observed_at` is the source's own clock, aware. `notes` are values that were not readable
    and are None for that: the field, and why.
    """

    external_id: str
    symbol: str
    name: str
    observed_at: datetime
    price_usd: Decimal | None = None
    market_cap_usd: Decimal | None = None
    volume_24h_usd: Decimal | None = None
    circulating_supply: Decimal | None = None
    total_supply: Decimal | None = None
    max_supply: Decimal | None = None
    notes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """Which contracts one raw record says that a coin has.

    `external_id` is the record's own, `coin` the one that the provider's listing has. `observed_at`
    is when it was fetched. A contract is (chain, address), normalised.
    """

    external_id: str
    observed_at: datetime
    coin: str
    contracts: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that was refused, with every reason."""

    record: RawRecord
    reasons: Sequence[str]
    external_id: str | None = None


@dataclass(frozen=True, slots=True)
class FileReading:
    """How the file of a page is read.

    `path` is the whole path; `declaration` a digest of what is declared of it, empty where nothing
    is. `family` names the files whose rows should have one shape: those of the same maker.
    `columns` has the header of each field, `left_out` those that are not read. `settled` says what
    the file's own cells proved. `without_value` rows of this page have no value and are no records;
    the first of them is at `first_without_value`. `is_end` marks the page after which the whole
    file, from its first row on, was read under this declaration; not the end of rows added since.
    `is_reread` is there where an earlier run had read rows of it, and this one begins anew.
    `is_unended` is a file whose last line has no line end, and was read as a row all the same.
    """

    path: str
    name: str
    declaration: str
    family: str
    columns: Mapping[str, str]
    left_out: Sequence[str] = ()
    settled: Sequence[str] = ()
    without_value: int = 0
    first_without_value: str | None = None
    is_end: bool = False
    is_reread: bool = False
    is_unended: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """What one response, or one stretch of a file, holds.

    `cursor` is where this page starts: a run that is cut off inside it begins here again.
    `next_cursor` is where the next page starts, and where the next run starts after the last.
    `validator` is the page's `ETag`, to be kept under `validator_key` and offered with the next
    request for the same page. A page that is `not_modified` has no records; `known_count` is how
    many it held when it was read. `digest` stands for the ids of its records. `file` is there where
    the page is a stretch of one.

    A page that `restarts` has no records: the snapshot begins anew after it. `notice` is what the
    log should say of how the source pages. One that `reads_anew` says that a file is gone, or read
    from its start again, of which earlier runs had read rows: those hold no more.
    """

    records: Sequence[RawRecord]
    cursor: Cursor | None
    next_cursor: Cursor | None
    validator_key: str | None = None
    validator: str | None = None
    not_modified: bool = False
    known_count: int = 0
    digest: str | None = None
    restarts: bool = False
    notice: str | None = None
    file: FileReading | None = None
    reads_anew: bool = False


VALUES = (
    "price_usd",
    "market_cap_usd",
    "volume_24h_usd",
    "circulating_supply",
    "total_supply",
    "max_supply",
)
"""The numeric fields of an observation, in the order of its columns."""


def value_time(value: str) -> str:
    """Name the column that has when a value was observed: `price_usd`, `price_observed_at`."""
    return f"{value.removesuffix('_usd')}_observed_at"
