"""Pages, raw records, and the observations and claims that are read from them.

Classes with one instance per record are named tuples: creating one takes a third of the time of a
dataclass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

Cursor = Mapping[str, Any]
"""Where the next page of a source starts. JSON that only the source interprets."""


class Newest(NamedTuple):
    """The newest record of a listing, as far as it is known without decoding it.

    `digest` is the digest of its bytes, `shape` the key of its shape.
    """

    digest: str
    external_id: str
    shape: str


class RawRecord(NamedTuple):
    """One element of a response, as received.

    `payload` holds the element's own bytes. `document` is the decoded payload (floats as
    `Decimal`). If the payload cannot be decoded, it is None and `defect` has the reason. `position`
    shows the operator where the record was ("page 3, record 17", "prices.csv, line 120").
    `fetched_at` is by our clock; it is set if the record has no time of its own.

    `digest` identifies the bytes, so that the record is recognised when it is received again; it is
    None if the record cannot be recognised. `newest` is set on a recognised record, which is not
    decoded: it is already the newest record of its listing.
    """

    payload: bytes
    position: str
    document: Mapping[str, Any] | None
    defect: str | None = None
    fetched_at: datetime | None = None
    digest: str | None = None
    newest: Newest | None = None


class Observation(NamedTuple):
    """The values that one raw record reports for one listing at one instant.

    Money is in US dollars; supplies are in units of the asset. None means that the source does not
    report the value. `observed_at` is by the source's clock, aware. `notes` has the fields that are
    None because their value was not readable, each with the reason.
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
    """The contracts of a coin, as one raw record reports them.

    `external_id` identifies the record, `coin` the provider's listing. `observed_at` is the time of
    the fetch. A contract is (chain, address), normalised.
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

    `path` is the whole path. `declaration` is a digest of the file's declaration, empty without
    one. `family` names the files whose rows should have the same shape. `columns` maps each field
    to its header; `left_out` has the headers that are not read. `settled` describes ambiguities
    that the cells of the file resolved.

    `without_value` counts the rows of this page that have no value and are not records;
    `first_without_value` is the position of the first. `is_end` marks the last page of a file that
    was read from its first row under this declaration; it is not set at the end of rows that were
    added later. `is_reread` means that earlier runs read rows of the file, and this run reads it
    from its start. `is_unended` means that the last line has no line end and was read as a row.
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
    """The records of one response, or consecutive records of a file.

    `cursor` is where this page starts: a run that is cut off inside it starts here again.
    `next_cursor` is where the next page starts; after the last page, where the next run starts.
    `validator` is the page's `ETag`. It is stored under `validator_key` and sent with the next
    request for the same page. A page that is `not_modified` has no records; `known_count` is their
    number when the page was last read. `digest` is a digest of the ids of its records. `file` is
    set if the page is a part of a file.

    A page that `restarts` has no records; after it the snapshot starts from its beginning. `notice`
    is a message for the log about the paging of the source. `reads_anew` means that a file of which
    earlier runs read rows was removed or is read from its start; those rows no longer count.
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
    """Return the column of the time of a value: `price_usd` has `price_observed_at`."""
    return f"{value.removesuffix('_usd')}_observed_at"
