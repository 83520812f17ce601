"""What a provider's wrong pass leaves of the links between two sources' coins.

`python -m tests.bench.glitches [COINS]` loads a made-up market of so many coins of two sources,
lets one of them be wrong for a pass or silent for hours, and prints which links and slugs are as
before after one good pass, and whether `verify` finds damage. Exits with 1 where fewer than 97 %
of the links are.
"""

import logging
import sys
import time
from collections.abc import Callable

import structlog
from sqlalchemy import create_engine

from shared.embedded.server import EmbeddedPostgres
from tests.bench.measure import write
from tests.conftest import CARELESS
from tests.fakes.databases import open_folder
from tests.fakes.glitches import HOUR, IDS, PRICES, Scene, open_scene, read_links
from tests.fakes.upstream import Upstream
from worker.maintenance.migrate import upgrade
from worker.maintenance.verify import verify

AIM = 0.97


def silent(scene: Scene) -> str:
    for _ in range(5):
        scene.market.tick(HOUR)
        scene.run("coingecko")
    return "5 h"


GLITCHES: dict[str, Callable[[Scene], object]] = {
    "ids changed": lambda scene: scene.wrong_pass("coingecko", IDS),
    "ids changed, same instants": lambda scene: scene.wrong_pass("coinpaprika", IDS, 0),
    "prices x 1000": lambda scene: scene.wrong_pass("coingecko", PRICES),
    "prices x 1000, same instants": lambda scene: scene.wrong_pass("coinpaprika", PRICES, 0),
    "prices x 1000, an hour later": lambda scene: scene.wrong_pass("coingecko", PRICES, HOUR),
    "coinpaprika silent": silent,
}


def main(size: int) -> int:
    """Print a line for each glitch; return the exit code."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    worst = 1.0
    with (
        open_folder("kasparro-bench-") as folder,
        EmbeddedPostgres(folder, options=CARELESS).running() as server,
        Upstream() as upstream,
    ):
        upgrade(server.url)
        engine = create_engine(server.url)
        scene, before = open_scene(engine, upstream, size)
        write(f"{len(before.slugs)} listings, {len(before.pairs)} assets of both sources")
        for name, glitch in GLITCHES.items():
            started = time.monotonic()
            reason = glitch(scene)
            during = read_links(engine)
            good = scene.good_pass()
            after = read_links(engine)
            moved = sum(after.slugs[ref] != slug for ref, slug in before.slugs.items())
            added = len(after.pairs - before.pairs)
            write(
                f"{name}: {reason}; links kept {before.share_kept(during):.1%} during, "
                f"{before.share_kept(after):.1%} after, {len(during.pairs - before.pairs)} and "
                f"{added} new; {moved} slugs changed; good runs: {good}; "
                f"{len(verify(engine).findings)} findings; {time.monotonic() - started:.0f} s"
            )
            worst = min(worst, before.share_kept(after))
        engine.dispose()
    return int(worst < AIM)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000))
