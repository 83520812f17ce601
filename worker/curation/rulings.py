"""What holds of what people and files ruled, and where it contradicts itself."""

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from shared.schema.identity import corrections, crosswalk
from worker.identity.resolver.evidence import Ref


@dataclass(slots=True)
class Rulings:
    """Corrections by pair (same or not, and their ids), and each listing's crosswalk asset."""

    corrected: Mapping[tuple[Ref, Ref], tuple[bool, int]]
    assets: Mapping[Ref, str]
    _near: dict[Ref, list[tuple[Ref, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        by_asset: dict[str, list[Ref]] = {}
        for ref, asset in self.assets.items():
            by_asset.setdefault(asset, []).append(ref)
        for (one, other), (same, number) in self.corrected.items():
            if same:
                self._join(one, other, f"correction {number}")
        for asset, refs in by_asset.items():
            for n, one in enumerate(sorted(refs)):
                for other in sorted(refs)[n + 1 :]:
                    if _pair(one, other) not in self.corrected:
                        self._join(one, other, f"the crosswalk's {asset!r}")

    def _join(self, one: Ref, other: Ref, why: str) -> None:
        self._near.setdefault(one, []).append((other, why))
        self._near.setdefault(other, []).append((one, why))

    def find_contradiction(self, refs: Iterable[Ref]) -> str | None:
        """Name a chain of rulings that makes one of what another ruling keeps apart."""
        for start in sorted(set(refs)):
            chains = self._reach(start)
            for other in sorted(chains):
                if why := self._apart(start, other):
                    return (
                        f"{show_ref(start)} is {'; that is '.join(chains[other])}; "
                        f"but {why} keeps {show_ref(start)} and {show_ref(other)} apart"
                    )
        return None

    def written_same(self, ref: Ref) -> set[Ref]:
        """All other listings that the crosswalk says are one with this."""
        asset = self.assets.get(ref)
        return {other for other, its in self.assets.items() if its == asset} - {ref}

    def component(self, refs: Iterable[Ref]) -> set[Ref]:
        return {reached for ref in refs for reached in (ref, *self._reach(ref))}

    def _reach(self, start: Ref) -> dict[Ref, list[str]]:
        """All that rulings make one with a listing, each with the shortest chain to it."""
        chains: dict[Ref, list[str]] = {start: []}
        waiting = deque([start])
        while waiting:
            here = waiting.popleft()
            for there, why in self._near.get(here, ()):
                if there not in chains:
                    chains[there] = [*chains[here], f"{show_ref(there)} by {why}"]
                    waiting.append(there)
        del chains[start]
        return chains

    def _apart(self, one: Ref, other: Ref) -> str | None:
        ruled = self.corrected.get(_pair(one, other))
        if ruled:
            return None if ruled[0] else f"correction {ruled[1]}"
        mine, its = self.assets.get(one), self.assets.get(other)
        if mine is not None and its is not None and mine != its:
            return f"the crosswalk ({mine!r}, {its!r})"
        return None


def read_rulings(conn: Connection) -> Rulings:
    """Read every ruling that holds. There are as many as people wrote."""
    standing = select(corrections).where(corrections.c.revoked_at.is_(None))
    corrected = {
        _pair((row.source, row.external_id), (row.other_source, row.other_external_id)): (
            row.same,
            row.id,
        )
        for row in conn.execute(standing.order_by(corrections.c.id))
    }
    assets = {(r.source, r.external_id): r.asset for r in conn.execute(select(crosswalk))}
    return Rulings(corrected, assets)


def show_ref(ref: Ref) -> str:
    return f"{ref[0]}:{ref[1]}"


def pairs_of(ref: Ref, others: Collection[Ref]) -> list[tuple[Ref, Ref]]:
    """Pair a listing with each of the others, the lesser first."""
    return [_pair(ref, other) for other in sorted(others) if other != ref]


def _pair(one: Ref, other: Ref) -> tuple[Ref, Ref]:
    return (one, other) if one < other else (other, one)
