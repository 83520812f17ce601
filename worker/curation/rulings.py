"""The active rulings of corrections and crosswalk files, and contradictions between them."""

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from shared.schema.identity import corrections, crosswalk
from worker.identity.resolver.evidence import Ref


@dataclass(slots=True)
class Rulings:
    """Corrections by pair (same or not, with their ids), and the crosswalk asset of each listing.

    The rulings that make two listings the same form a graph.
    """

    corrected: Mapping[tuple[Ref, Ref], tuple[bool, int]]
    assets: Mapping[Ref, str]
    _edges: dict[Ref, list[tuple[Ref, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        by_asset: dict[str, list[Ref]] = {}
        for ref, asset in self.assets.items():
            by_asset.setdefault(asset, []).append(ref)
        for (one, other), (same, number) in self.corrected.items():
            if same:
                self._add_edge(one, other, f"correction {number}")
        for asset, refs in by_asset.items():
            for n, one in enumerate(sorted(refs)):
                for other in sorted(refs)[n + 1 :]:
                    if _pair(one, other) not in self.corrected:
                        self._add_edge(one, other, f"the crosswalk's {asset!r}")

    def _add_edge(self, one: Ref, other: Ref, ruling: str) -> None:
        self._edges.setdefault(one, []).append((other, ruling))
        self._edges.setdefault(other, []).append((one, ruling))

    def find_corrections(self, pairs: Iterable[tuple[Ref, Ref]], *, same: bool) -> list[int]:
        """Return the ids of the corrections that decide this about the pairs."""
        ruled = [self.corrected[pair] for pair in pairs if pair in self.corrected]
        return sorted(number for is_same, number in ruled if is_same is same)

    def find_contradiction(self, refs: Iterable[Ref]) -> str | None:
        """Describe a chain of rulings that links two listings which another one keeps apart."""
        for start in sorted(set(refs)):
            chains = self._find_chains(start)
            for other in sorted(chains):
                if ruling := self._ruling_against(start, other):
                    return (
                        f"{show_ref(start)} is {', which is '.join(chains[other])}; "
                        f"but {ruling} keeps {show_ref(start)} and {show_ref(other)} apart"
                    )
        return None

    def crosswalk_matches(self, ref: Ref) -> set[Ref]:
        """Return the other listings that have the same asset in the crosswalk."""
        asset = self.assets.get(ref)
        return {other for other, other_asset in self.assets.items() if other_asset == asset} - {ref}

    def component(self, refs: Iterable[Ref]) -> set[Ref]:
        return {reached for ref in refs for reached in (ref, *self._find_chains(ref))}

    def _find_chains(self, start: Ref) -> dict[Ref, list[str]]:
        """Return the listings that rulings link to this one, each with its shortest chain."""
        chains: dict[Ref, list[str]] = {start: []}
        queue = deque([start])
        while queue:
            ref = queue.popleft()
            for neighbour, ruling in self._edges.get(ref, ()):
                if neighbour not in chains:
                    chains[neighbour] = [*chains[ref], f"{show_ref(neighbour)} by {ruling}"]
                    queue.append(neighbour)
        del chains[start]
        return chains

    def _ruling_against(self, one: Ref, other: Ref) -> str | None:
        """Name the ruling that keeps two listings apart; a correction outranks the crosswalk."""
        if correction := self.corrected.get(_pair(one, other)):
            same, number = correction
            return None if same else f"correction {number}"
        asset, other_asset = self.assets.get(one), self.assets.get(other)
        if asset is not None and other_asset is not None and asset != other_asset:
            return f"the crosswalk ({asset!r}, {other_asset!r})"
        return None


def read_rulings(conn: Connection) -> Rulings:
    """Read all active rulings; people wrote them, so there are few."""
    active = select(corrections).where(corrections.c.revoked_at.is_(None))
    corrected = {
        _pair((row.source, row.external_id), (row.other_source, row.other_external_id)): (
            row.same,
            row.id,
        )
        for row in conn.execute(active.order_by(corrections.c.id))
    }
    assets = {(r.source, r.external_id): r.asset for r in conn.execute(select(crosswalk))}
    return Rulings(corrected, assets)


def show_ref(ref: Ref) -> str:
    return f"{ref[0]}:{ref[1]}"


def pairs_of(ref: Ref, others: Collection[Ref]) -> list[tuple[Ref, Ref]]:
    """Pair a listing with each of the others; the smaller reference of a pair comes first."""
    return [_pair(ref, other) for other in sorted(others) if other != ref]


def _pair(one: Ref, other: Ref) -> tuple[Ref, Ref]:
    return (one, other) if one < other else (other, one)
