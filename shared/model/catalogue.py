"""The sources: one entry for each, from which all that is known of it in both parts follows.

Its order among the sources, its raw table, what is normal for it, how far it is trusted, and the
variables of its provider. What is read of it is a class of that name in `worker.sources`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import Enum

from shared.model.expectations import Delisting, Expectations


class Kind(Enum):
    """What the records of a source are."""

    FILES = "files"
    """Values of listings, of whatever time a file has them."""
    MARKET = "market"
    """Values of listings, of the present."""
    CONTRACTS = "contracts"
    """Which contracts coins have, and nothing of their prices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Whose requests are counted together, by the names of the variables that configure them.

    `<NAME>_BASE_URL`, `<NAME>_API_KEY`, `<NAME>_REQUESTS_PER_MINUTE`, `<NAME>_REQUESTS_PER_MONTH`,
    and `<NAME>_PLAN` where a key goes with one of several `plans`.
    """

    name: str
    requests_per_minute: int
    requests_per_month: int
    plans: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One source."""

    name: str
    kind: Kind
    expectations: Expectations
    provider: Provider | None = None
    trust: int = 0
    """Of two sources' values the one of the source with more of it counts."""


# What contracts a coin has changes slowly, and a list that is the same for weeks is a good one.
_CONTRACTS = Expectations(
    fresh_for=None,
    min_snapshot_share=Decimal("0.90"),
    max_reject_share=Decimal("0.10"),
    max_reject_rise=Decimal("0.02"),
    max_unchanged_for=None,
    read_every=timedelta(days=1),
)

# Snapshots that lack a tenth of the market are `partial`, and do not count. Six hours outlast most
# of what a provider gets wrong by less, and a coin that was taken off is known to be gone that day.
_DELISTED = Delisting(snapshots=3, within=timedelta(hours=6))

COINPAPRIKA = Provider(name="coinpaprika", requests_per_minute=60, requests_per_month=20_000)
COINGECKO = Provider(
    name="coingecko", requests_per_minute=5, requests_per_month=10_000, plans=("demo", "pro")
)

# In the order in which the loop takes them: what needs no network first. CoinGecko is trusted most:
# it states its own clock to the millisecond and every supply. CoinPaprika's free plan leaves
# supplies out, and a file is only as good as who wrote it.
CATALOGUE = (
    # Files bring what they bring: no share of rejects, and no pace, is normal for the next one.
    Entry(
        name="csv",
        kind=Kind.FILES,
        trust=1,
        expectations=Expectations(
            fresh_for=None,
            min_snapshot_share=None,
            max_reject_share=Decimal("0.10"),
            max_reject_rise=None,
            max_unchanged_for=None,
        ),
    ),
    # Its answer is refreshed every 5 to 10 minutes.
    Entry(
        name="coinpaprika",
        kind=Kind.MARKET,
        provider=COINPAPRIKA,
        trust=2,
        expectations=Expectations(
            fresh_for=timedelta(minutes=20),
            min_snapshot_share=Decimal("0.90"),
            max_reject_share=Decimal("0.10"),
            max_reject_rise=Decimal("0.02"),
            max_unchanged_for=timedelta(minutes=30),
            delisted=_DELISTED,
            max_jumped_share=Decimal("0.50"),
        ),
    ),
    # Refreshed every minute or two.
    Entry(
        name="coingecko",
        kind=Kind.MARKET,
        provider=COINGECKO,
        trust=3,
        expectations=Expectations(
            fresh_for=timedelta(minutes=15),
            min_snapshot_share=Decimal("0.90"),
            max_reject_share=Decimal("0.10"),
            max_reject_rise=Decimal("0.02"),
            max_unchanged_for=timedelta(minutes=30),
            max_jumped_share=Decimal("0.50"),
            listed_by="coingecko_coins",
            delisted=_DELISTED,
        ),
    ),
    Entry(
        name="coingecko_coins",
        kind=Kind.CONTRACTS,
        provider=COINGECKO,
        expectations=_CONTRACTS,
    ),
    Entry(
        name="coinpaprika_contracts",
        kind=Kind.CONTRACTS,
        provider=COINPAPRIKA,
        expectations=_CONTRACTS,
    ),
)

SOURCES = tuple(entry.name for entry in CATALOGUE)
"""Every source by name, in the order in which the loop takes them."""

LISTING_SOURCES = tuple(entry.name for entry in CATALOGUE if entry.kind is not Kind.CONTRACTS)
"""The sources whose records are of listings: what assets and their values come from."""

LIVE_SOURCES = tuple(entry.name for entry in CATALOGUE if entry.kind is Kind.MARKET)
"""The providers whose records are of listings, and of the present."""

EXPECTATIONS: Mapping[str, Expectations] = {entry.name: entry.expectations for entry in CATALOGUE}

TRUST = tuple(
    entry.name
    for entry in sorted(CATALOGUE, key=lambda entry: -entry.trust)
    if entry.kind is not Kind.CONTRACTS
)
"""Sources of values, the most trusted first."""

PROVIDERS = tuple(dict.fromkeys(entry.provider for entry in CATALOGUE if entry.provider))
