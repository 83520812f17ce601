"""How often the resolver is right about which coin a listing is, and how long it takes.

    python -m tests.bench.identity [--pairs FILE --coingecko FILE --coinpaprika FILE...] [--show]

Without files, or IDENTITY_PAIRS, IDENTITY_COINGECKO and IDENTITY_COINPAPRIKA in the environment
(several files joined by ":"), only a generated market is scored. The files are pairs kept by hand
(CSV: coingecko_id, coinpaprika_id), and lists as the two sources send them; of a coin that several
files list, the last one's names count.

Recall: of the pairs whose both sides are listed, how many are linked. A link of a coin that is in
the pairs is right if it is the pair; wrong if the pairs say that one of its two listings is another
one's, and that one is in the lists; `unlisted` if what the pairs name instead is in no list, as of
a coin whose id the source changed before or after: the lists cannot tell. Precision: of the right
and the wrong, how many are right; at worst: with every unlisted one counted as wrong.

The rules were tuned on one half of the pairs; which half a pair is in follows from its CoinGecko id
and a salt, and what is wrong or missed in the other half is never named. The baselines join each of
CoinPaprika's listings to CoinGecko's first one of that symbol, or of that symbol and exact name.
"""

import argparse
import csv
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from time import process_time

from tests.bench.identity_market import Market, make_market
from tests.bench.measure import MACHINE, write
from worker.identity.resolver.evidence import Candidate
from worker.identity.resolver.resolver import resolve

NEW_LISTINGS = 20_000
Links = set[tuple[str, str]]
"""CoinGecko's id and CoinPaprika's."""


@dataclass(frozen=True, slots=True)
class Score:
    """What a way of linking gets right."""

    pairs: int
    found: int
    right: int
    wrong: Links
    unlisted: Links
    missed: Links

    @property
    def precision(self) -> float:
        judged = self.right + len(self.wrong)
        return self.right / judged if judged else 1.0

    @property
    def precision_at_worst(self) -> float:
        links = self.right + len(self.wrong) + len(self.unlisted)
        return self.right / links if links else 1.0

    @property
    def recall(self) -> float:
        return self.found / self.pairs if self.pairs else 1.0


def score(links: Links, pairs: Mapping[str, str], market: Market) -> Score:
    """Compare links of the coins in some of the market's pairs with all that are known.

    Of coins that are in no pair nothing is known, and nothing counted, unless the market is
    complete: then every other link is wrong.
    """
    listed = {listing.ref for listing in market.listings}
    true = set(market.pairs.items())
    of_gecko = {g: p for g, p in true if ("coinpaprika", p) in listed}
    of_paprika = {p: g for g, p in true if ("coingecko", g) in listed}
    both = {(g, p) for g, p in pairs.items() if g in of_gecko and p in of_paprika}
    paprikas = set(pairs.values())
    judged = {(g, p) for g, p in links if market.is_complete or g in pairs or p in paprikas}
    other = judged - true
    wrong = {(g, p) for g, p in other if market.is_complete or g in of_gecko or p in of_paprika}
    return Score(
        len(both), len(both & links), len(judged & true), wrong, other - wrong, both - links
    )


def link_by_resolver(listings: Sequence[Candidate]) -> tuple[Links, int]:
    """Return the links between the two sources, and how many reviews there are."""
    resolution = resolve(listings, [])
    of = {listing.listing_id: listing for listing in listings}
    links = set()
    for ids in resolution.clusters:
        members = sorted((of[number] for number in ids), key=lambda listing: listing.ref)
        links |= {
            (one.external_id, other.external_id)
            for one in members
            for other in members
            if (one.source, other.source) == ("coingecko", "coinpaprika")
        }
    return links, sum(match.verdict == "review" for match in resolution.matches)


def link_by(key: Callable[[Candidate], object]) -> Callable[[Sequence[Candidate]], Links]:
    """Make a baseline: join to the first listing with the same key."""

    def link(listings: Sequence[Candidate]) -> Links:
        first: dict[object, str] = {}
        for listing in listings:
            if listing.source == "coingecko":
                first.setdefault(key(listing), listing.external_id)
        return {
            (first[key(listing)], listing.external_id)
            for listing in listings
            if listing.source == "coinpaprika" and key(listing) in first
        }

    return link


BASELINES = {
    "symbol": link_by(lambda listing: listing.symbol.lower()),
    "symbol and exact name": link_by(lambda listing: (listing.symbol.lower(), listing.name)),
}


HELD_OUT = "held out"
SALT = "second split: "
"""The held-out half of the first split, whose salt was "", was looked at: so both its halves were
dealt anew. Another look at this one asks for another salt."""


def is_tuned(gecko: str) -> bool:
    """Say whether the rules were tuned on this coin's pair."""
    return sha256(f"{SALT}{gecko}".encode()).digest()[0] < 128


def print_scores(
    title: str, market: Market, halves: Mapping[str, Mapping[str, str]], *, show: bool
) -> None:
    """Print a table of the resolver beside the baselines, and what the resolver got wrong."""
    links, reviews = link_by_resolver(market.listings)
    write(
        f"{title}: {len(market.listings):,} listings, {len(links):,} links, {reviews:,} to review"
    )
    found = {"resolver": links} | {name: link(market.listings) for name, link in BASELINES.items()}
    write(
        f"  {'':<24}{'':<12}{'pairs':>7}{'recall':>9}{'right':>8}{'wrong':>7}{'unlisted':>10}"
        f"{'precision':>11}{'at worst':>10}"
    )
    for half, pairs in halves.items():
        for name, made in found.items():
            result = score(made, pairs, market)
            write(
                f"  {name:<24}{half:<12}{result.pairs:>7,}{result.recall:>9.2%}"
                f"{result.right:>8,}{len(result.wrong):>7,}{len(result.unlisted):>10,}"
                f"{result.precision:>11.2%}{result.precision_at_worst:>10.2%}"
            )
            named = show and made is links and half != HELD_OUT
            for word in ("wrong", "unlisted", "missed") if named else ():
                for gecko, paprika in sorted(getattr(result, word)):
                    write(f"    {word}: {gecko} = {paprika}")
    write()


def print_times() -> None:
    """Print how long a first load takes, as ratios: to a plain join, and for one shared symbol."""
    listings = make_market(NEW_LISTINGS * 10 // 16).listings[:NEW_LISTINGS]
    crowd = [
        Candidate(n, ("coingecko", "coinpaprika")[n % 2], f"x-{n}", "META", f"Meta {n // 2}", NOW)
        for n in range(NEW_LISTINGS)
    ]
    plain = _time(lambda: BASELINES["symbol and exact name"](listings))
    market, crowded = (_time(lambda of=of: resolve(of, [])) for of in (listings, crowd))
    write(
        f"{len(listings):,} new listings: {market:.2f} s of CPU, {market / plain:.0f} times a plain"
        f" join by symbol and name; all of one symbol: {crowded / market:.2f} times that"
    )


def _time(work: Callable[[], object]) -> float:
    def once() -> float:
        start = process_time()
        work()
        return process_time() - start

    return min(once() for _ in range(3))


NOW = datetime(2025, 1, 1, tzinfo=UTC)


def read_market(coingecko: Sequence[Path], coinpaprika: Sequence[Path], pairs: Path) -> Market:
    """Read lists, of names alone, and the pairs that are known."""
    names: dict[tuple[str, str], tuple[str, str]] = {}
    for source, files in (("coingecko", coingecko), ("coinpaprika", coinpaprika)):
        for file in files:
            for coin in json.loads(file.read_text()):
                names[source, coin["id"]] = coin["symbol"], coin["name"]
    listings = [Candidate(n, *ref, *names[ref], NOW) for n, ref in enumerate(names)]
    with pairs.open(newline="") as rows:
        known = {row["coingecko_id"]: row["coinpaprika_id"] for row in csv.DictReader(rows)}
    return Market(listings, known, is_complete=False)


def main() -> None:
    parser = argparse.ArgumentParser(description="Score the resolver.")
    for name in ("pairs", "coingecko", "coinpaprika"):
        files = os.environ.get(f"IDENTITY_{name.upper()}") or ""
        default = [Path(file) for file in files.split(":") if file]
        parser.add_argument(f"--{name}", type=Path, nargs="+", metavar="FILE", default=default)
    parser.add_argument(
        "--show",
        action="store_true",
        help="name what is wrong or missed, but for the held-out half",
    )
    given = parser.parse_args()
    files = (given.pairs, given.coingecko, given.coinpaprika)
    write(MACHINE)
    if all(files):
        market = read_market(given.coingecko, given.coinpaprika, given.pairs[0])
        halves = {
            "tuned on": {g: p for g, p in market.pairs.items() if is_tuned(g)},
            HELD_OUT: {g: p for g, p in market.pairs.items() if not is_tuned(g)},
        }
        print_scores("known pairs, by names alone", market, halves, show=given.show)
    elif any(files):
        parser.error("pairs, coingecko and coinpaprika: give all three, or none")
    else:
        write("no files given (--pairs, --coingecko, --coinpaprika): a generated market only")
    market = make_market(10_000)
    print_scores("generated market", market, {"": market.pairs}, show=given.show)
    print_times()


if __name__ == "__main__":
    main()
