"""A market made so that names clash, of which it is known which listing is which coin."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

from shared.model.slugs import slugify
from worker.identity.resolver.evidence import Candidate

NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)
CONSONANTS, VOWELS = "bcdfghjklmnprstvwxz", "aeiou"
WORDS = ("Moon", "Cash", "Inu", "Gold", "Finance", "DAO", "Chain", "Swap", "Pay", "AI", "Land", "X")
COMMON = (" Token", " Coin", " Network", " Protocol")
VARIANTS = ("Wrapped {}", "Binance-Peg {}", "Bridged {} (Polygon)", "{} (Wormhole)", "Staked {}")


@dataclass(frozen=True, slots=True)
class Coin:
    """What is true: a coin, and what no source gets exactly right."""

    symbol: str
    name: str
    price: float
    supply: float


@dataclass(frozen=True, slots=True)
class Market:
    """Two sources' listings, and which of one is which of the other."""

    listings: list[Candidate]
    pairs: dict[str, str]
    """CoinGecko's id to CoinPaprika's, where both list the coin."""
    is_complete: bool = True
    """Whether any other pair is known to be wrong."""


def make_market(coins: int, seed: int = 1) -> Market:
    """Make a market of so many coins; many share their symbol, one in a hundred its name too.

    Two in a hundred have another's name under a symbol of their own. A source adds a common word to
    a name, lags behind a renaming, or calls a coin by its symbol; one listing in a hundred has a
    symbol of its own, and half of those are the coin's with TOKEN or COIN behind it. One price in
    two hundred is nonsense, and one listing in three is an hour old or more. A coin in twenty has
    variants that go by its symbol. No contract is known, and no person was asked.
    """
    random = Random(seed)
    listings: list[Candidate] = []
    pairs = {}
    taken: set[tuple[str, str]] = set()
    for number, coin in enumerate(_make_coins(random, coins)):
        at_gecko, at_paprika = random.random() < 0.9, random.random() < 0.6
        gecko_id = _take(taken, "coingecko", slugify(coin.name, coin.symbol))
        paprika_id = _take(taken, "coinpaprika", slugify(f"{coin.symbol} {coin.name}", "x"))
        if at_gecko:
            listings.append(_list(random, "coingecko", gecko_id, coin, 2 * number))
        if at_paprika:
            listings.append(_list(random, "coinpaprika", paprika_id, coin, 2 * number + 1))
        if at_gecko and at_paprika:
            pairs[gecko_id] = paprika_id
        if at_gecko and random.random() < 0.05:
            for variant in random.sample(VARIANTS, 2):
                name = variant.format(coin.name)
                variant_id = _take(taken, "coingecko", slugify(name, "x"))
                follower = replace(coin, name=name, supply=coin.supply * random.random())
                listings.append(_list(random, "coingecko", variant_id, follower, -len(listings)))
    return Market(listings, pairs)


def _make_coins(random: Random, coins: int) -> Iterator[Coin]:
    made: list[Coin] = []
    for _ in range(coins):
        name = _say(random, random.randint(2, 4))
        if random.random() < 0.4:
            name += f" {random.choice(WORDS)}"
        if random.random() < 0.15:
            name += random.choice(COMMON)
        letters = slugify(name, "x").replace("-", "")
        symbol = "".join(letter for letter in letters if random.random() < 0.6)[:5].upper() or "X"
        if made and random.random() < 0.1:
            symbol = random.choice(made).symbol
        if made and random.random() < 0.01:
            namesake = random.choice(made)
            symbol, name = namesake.symbol, namesake.name
        elif made and random.random() < 0.02:
            name = random.choice(made).name
        supply = 10 ** random.uniform(5, 12)
        if random.random() < 0.5:
            supply = float(f"{supply:.0e}")
        made.append(Coin(symbol, name, 10 ** random.uniform(-6, 4), supply))
        yield made[-1]


def _say(random: Random, syllables: int) -> str:
    spoken = (random.choice(CONSONANTS) + random.choice(VOWELS) for _ in range(syllables))
    return "".join(spoken).capitalize()


def _take(taken: set[tuple[str, str]], source: str, slug: str) -> str:
    """Give out an id as sources do: who comes second gets a number."""
    external_id, times = slug, 1
    while (source, external_id) in taken:
        times += 1
        external_id = f"{slug}-{times}"
    taken.add((source, external_id))
    return external_id


def _list(random: Random, source: str, external_id: str, coin: Coin, number: int) -> Candidate:
    name, symbol = coin.name, coin.symbol
    luck = random.random()
    if luck < 0.06:
        name += random.choice(COMMON)
    elif luck < 0.07:
        name = _say(random, 3)
    elif luck < 0.08:
        name = symbol
    if random.random() < 0.01:
        symbol = random.choice(
            (f"{symbol}TOKEN", f"{symbol}COIN", _say(random, 2).upper(), "Q" + symbol)
        )
    price = coin.price * random.uniform(0.98, 1.02)
    if random.random() < 0.005:
        price *= random.choice((0.001, 1000))
    knows_supply = random.random() < 0.8
    return Candidate(
        listing_id=number,
        source=source,
        external_id=external_id,
        symbol=symbol.lower() if source == "coingecko" else symbol,
        name=name,
        observed_at=NOON - timedelta(minutes=random.choice((0, 5, 20, 40, 90, 600))),
        price_usd=Decimal(f"{price:.10g}"),
        market_cap_usd=Decimal(f"{price * coin.supply:.0f}") if knows_supply else None,
        circulating_supply=Decimal(f"{coin.supply:.0f}") if knows_supply else None,
    )
