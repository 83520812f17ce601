"""What a database must hold after any loads, worked out in memory, apart from the program's SQL.

Which listings are one asset, the program's own resolver says, of all listings at once.
Nothing here is told the order in which records came, but which of one instant came last.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from tests.fakes.jsonb import Number, jsonb, write
from tests.fakes.prices import Priced, standing
from worker.identity.resolver import resolver
from worker.identity.resolver.corroboration import Standing
from worker.identity.resolver.evidence import Candidate, Name, Resolution

VALUES = ("price_usd", "market_cap_usd", "volume_24h_usd", "circulating_supply")
"""The values that the records here vary; the others are always unknown."""

Key = tuple[str, str]
"""A listing: its source and external id."""

UNKNOWN = {"0", "null"}
"""Market caps and supplies that say nothing."""


@dataclass(frozen=True, slots=True)
class Told:
    """One record: what it says, and how it is spelled. Two spellings are the same record."""

    source: str
    external_id: str
    symbol: str
    name: str
    minute: int
    price: str
    cap: str = "1000"
    volume: str = "10"
    supply: str = "0"
    spelling: int = 0

    @property
    def key(self) -> Key:
        return self.source, self.external_id

    @property
    def is_refused(self) -> bool:
        """Whether the worker refuses it: a CSV row without any value. A 0 is a price or volume."""
        has_value = {self.price, self.volume} != {"null"} or not {self.cap, self.supply} <= UNKNOWN
        return self.source == "csv" and not has_value

    @property
    def observed_at(self) -> datetime:
        return datetime(2025, 3, 1, 10, tzinfo=UTC) + timedelta(minutes=self.minute)

    @property
    def document(self) -> dict[str, Any]:
        """The record as its source writes it, each number as the text that it is."""
        at = self.observed_at.isoformat()
        if self.source == "csv":
            namespace, _, own_id = self.external_id.rpartition(":")
            row = {
                "id": own_id,
                "symbol": self.symbol,
                "name": self.name,
                "price_usd": self.price.replace("null", ""),
                "market_cap_usd": self.cap.replace("null", ""),
                "volume_24h_usd": self.volume.replace("null", ""),
                "circulating_supply": self.supply.replace("null", ""),
                "last_updated": at,
            }
            return {"row": row, "declared": {"namespace": namespace}} if namespace else {"row": row}
        said: dict[str, Any] = {
            "id": self.external_id,
            "symbol": self.symbol,
            "name": self.name,
            "last_updated": at,
            "circulating_supply": Number(self.supply),
            "total_supply": None,
            "max_supply": None,
        }
        price, cap, volume = Number(self.price), Number(self.cap), Number(self.volume)
        if self.source == "coingecko":
            return {**said, "current_price": price, "market_cap": cap, "total_volume": volume}
        quote = {"price": price, "market_cap": cap, "volume_24h": volume}
        return {**said, "quotes": {"USD": quote}}

    @property
    def payload(self) -> bytes:
        members = list(self.document.items())
        if self.spelling % 2:
            members.reverse()
        space = "\n\t" if self.spelling > 1 else ""
        return write(dict(members), f",{space}", f":{space}").encode()

    @property
    def payload_hash(self) -> bytes:
        return hashlib.sha256(jsonb(self.document).encode()).digest()[:16]

    @property
    def values(self) -> tuple[Decimal | None, ...]:
        """The values, with 0 as unknown where the source means that by it."""
        zero_is_known = {"price_usd", "volume_24h_usd"}
        if self.source == "coinpaprika":
            zero_is_known = {"volume_24h_usd"}
        texts = zip(VALUES, (self.price, self.cap, self.volume, self.supply), strict=True)
        return tuple(
            None if text == "null" or (not Decimal(text) and name not in zero_is_known)
            else Decimal(text)
            for name, text in texts
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asset:
    """How an asset must read. `origins` are the listings its values come from, `times` of when."""

    symbol: str
    name: str
    values: tuple[Decimal | None, ...]
    origins: tuple[Key | None, ...]
    times: tuple[datetime | None, ...]
    observed_at: datetime
    source_count: int
    spread: Decimal | None
    divergent: bool
    active: bool
    delisted_at: datetime | None


@dataclass(slots=True)
class Absence:
    """A listing that whole snapshots are without: the first of them, and since when it counts."""

    snapshot: int
    since: datetime
    delisted_at: datetime | None = None


@dataclass(slots=True)
class Model:
    """What was committed."""

    records: set[Told] = field(default_factory=set)
    prevailing: dict[tuple[Key, datetime], Told] = field(default_factory=dict)
    snapshots: Counter[str] = field(default_factory=Counter)
    absences: dict[Key, Absence] = field(default_factory=dict)
    refused: Counter[tuple[str, bytes]] = field(default_factory=Counter)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    cursors: dict[str, Mapping[str, int] | None] = field(default_factory=dict)

    def load(
        self,
        source: str,
        records: Iterable[Told],
        refused: Iterable[bytes],
        cursor: Mapping[str, int],
    ) -> None:
        """Take in one batch that was committed."""
        received, rejects = [replace(told, spelling=0) for told in records], list(refused)
        known = len(self.records)
        self.records |= set(received)
        self.prevailing |= {(told.key, told.observed_at): told for told in received}
        new = len(self.records) - known
        self.refused.update((source, payload) for payload in rejects)
        self.counts.setdefault(source, Counter()).update(
            batches=1,
            fetched=len(received) + len(rejects),
            new=new,
            unchanged=len(received) - new,
            rejected=len(rejects),
        )
        self.cursors[source] = cursor

    def end_snapshot(self, source: str, seen: set[str], at: datetime) -> None:
        """Take in that a whole snapshot held these ids."""
        self.snapshots[source] += 1
        number = self.snapshots[source]
        for key in [key for key in self.newest() if key[0] == source]:
            absence = self.absences.get(key)
            if key[1] in seen:
                self.absences.pop(key, None)
            elif absence is None:
                self.absences[key] = Absence(number, at)
            elif (
                absence.delisted_at is None
                and number - absence.snapshot >= SNAPSHOTS - 1
                and at - absence.since >= WITHIN
            ):
                absence.delisted_at = at

    def delisted(self) -> dict[Key, datetime]:
        return {key: each.delisted_at for key, each in self.absences.items() if each.delisted_at}

    def newest(self) -> dict[Key, Told]:
        """What each listing says: its newest record; of one instant, the one received last."""
        found: dict[Key, Told] = {}
        for told in self.prevailing.values():
            other = found.setdefault(told.key, told)
            if told.observed_at > other.observed_at:
                found[told.key] = told
        return found

    def resolution(self) -> tuple[list[Told], Resolution]:
        """Resolve all listings together; each has its place in the list as its id."""
        told = sorted(self.newest().values(), key=lambda each: each.key)
        names: dict[Key, set[Name]] = {}
        for (key, symbol, name), since in self.names().items():
            names.setdefault(key, set()).add(Name(symbol, name, since))
        found = [
            Candidate(
                n,
                *each.key,
                each.symbol.strip(),
                each.name.strip(),
                each.observed_at,
                *(each.values[at] for at in (0, 1, 3)),
                names=frozenset(names[each.key]),
                is_delisted=each.key in self.delisted(),
            )
            for n, each in enumerate(told)
        ]
        observed: dict[Key, list[Priced]] = {}
        for record in self.records:
            observed.setdefault(record.key, []).append((record.observed_at, record.values[0]))

        def prices(one: Candidate, other: Candidate) -> Standing:
            return standing(observed[one.ref], observed[other.ref])

        return told, resolver.resolve(found, [], prices)

    def clusters(self) -> list[list[Told]]:
        """Which listings are one asset, each list in the order of source and external id."""
        told, resolution = self.resolution()
        return [[told[n] for n in sorted(cluster)] for cluster in resolution.clusters]

    def matches(self) -> dict[tuple[Key, Key], tuple[str, str, str]]:
        """How each two listings that may be one are matched: method, verdict, prices."""
        told, resolution = self.resolution()
        return {
            (told[m.listing_id].key, told[m.other_listing_id].key): (m.method, m.verdict, m.prices)
            for m in resolution.matches
        }

    def names(self) -> dict[tuple[Key, str, str], datetime]:
        """Since when each listing was called what."""
        found: dict[tuple[Key, str, str], datetime] = {}
        for told in self.records:
            label = told.key, told.symbol.strip(), told.name.strip()
            found[label] = min(told.observed_at, found.get(label, told.observed_at))
        return found

    def former_names(self) -> dict[frozenset[Key], set[str]]:
        """What else each asset is or was called, without regard to capitals."""
        names = self.names()
        return {
            frozenset(told.key for told in cluster): {
                " ".join(label.split()).lower()
                for key, *labels in names
                for label in labels
                if key in {told.key for told in cluster} and label
            }
            - {asset.symbol.lower(), " ".join(asset.name.lower().split())}
            for cluster in self.clusters()
            for asset in [unify(cluster, self.delisted())]
        }

    def assets(self) -> dict[frozenset[Key], Asset]:
        return {
            frozenset(told.key for told in cluster): unify(cluster, self.delisted())
            for cluster in self.clusters()
        }


SNAPSHOTS, WITHIN = 3, timedelta(hours=6)
"""In how many whole snapshots a delisted listing is missing, and over how long."""
TRUST = ("coingecko", "coinpaprika", "csv")
FAR = (10, 30, 90, 20)
"""For each value, at how many percent from the median it is an outlier."""
APART = (5, 20, 200, 10)
"""For each value, at which spread its sources diverge."""


def unify(whole: list[Told], delisted: Mapping[Key, datetime]) -> Asset:
    cluster = [told for told in whole if told.key not in delisted] or whole
    active = cluster[0].key not in delisted
    values: list[Decimal | None] = []
    times: list[datetime | None] = []
    origins: list[Key | None] = []
    spreads: list[Decimal | None] = []
    for at in range(len(VALUES)):
        candidates = current_candidates(cluster, at) if active else []
        teller = choose(candidates, at)
        values.append(teller.values[at] if teller else None)
        origins.append(teller.key if teller else None)
        times.append(teller.observed_at if teller else None)
        spreads.append(spread([told.values[at] for told in candidates]))
    first = min(cluster, key=lambda told: told.key)
    return Asset(
        first.symbol.strip().upper(),
        first.name.strip(),
        tuple(values),
        tuple(origins),
        tuple(times),
        max(told.observed_at for told in cluster),
        len({told.source for told in cluster}),
        spreads[0],
        any(found is not None and found > far for found, far in zip(spreads, APART, strict=True)),
        active,
        None if active else max(delisted[told.key] for told in cluster),
    )


def current_candidates(cluster: list[Told], at: int) -> list[Told]:
    """One record of each source that knows the value, within an hour of the newest of all."""
    newest = max(told.observed_at for told in cluster)
    knowing = [
        told
        for told in sorted(cluster, key=lambda told: told.external_id)
        if told.values[at] is not None and (told.values[at] or VALUES[at] == "volume_24h_usd")
        if newest - told.observed_at <= timedelta(hours=1)
    ]
    candidates = [
        max((told for told in knowing if told.source == source), key=lambda told: told.observed_at)
        for source in {told.source for told in knowing}
    ]
    return [told for told in candidates if told.values[at]] or candidates


def choose(candidates: list[Told], at: int) -> Told | None:
    """The median of three or more without its outliers; else the most trusted."""
    by_trust = sorted(candidates, key=lambda told: TRUST.index(told.source))
    if len(candidates) < 3:
        return by_trust[0] if candidates else None
    by_amount = sorted(by_trust, key=lambda told: told.values[at])
    median = by_amount[(len(by_amount) - 1) // 2].values[at]
    near = [t for t in by_amount if abs(t.values[at] - median) <= median * FAR[at] / 100]
    return near[(len(near) - 1) // 2]


def spread(amounts: list[Decimal]) -> Decimal | None:
    if len(amounts) < 2 or not min(amounts):
        return None
    low, high = min(amounts), max(amounts)
    return ((high - low) * 100 / low).quantize(Decimal("0.000001"), ROUND_HALF_UP)
