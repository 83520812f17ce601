import json
from collections import Counter
from pathlib import Path

from tests.bench.crowded_market import CrowdedMarket
from tests.bench.payloads import Snapshots
from tests.bench.plans import MOVED, NEW, UNCHANGED

COINS = 300


def test_three_coins_in_ten_share_their_symbol_and_seventy_one_of_them():
    crowds = Counter(coin.symbol for coin in CrowdedMarket(10_000).coins)

    assert max(crowds.values()) == 70
    assert sum(size for size in crowds.values() if size > 1) == 3_000


def test_a_plan_counts_the_records_that_no_snapshot_before_had(tmp_path: Path):
    seen: set[str] = set()
    passes = Snapshots(tmp_path, "market", COINS).write_passes(2)

    assert [each.name for each in passes] == [NEW, MOVED, UNCHANGED]
    for each in passes:
        found = {
            f"{source} {json.dumps(record)}"
            for source, file in each.snapshots
            for record in json.loads(Path(file).read_bytes())
        }
        assert len(found) == each.records
        assert len(found - seen) == each.new
        seen |= found


def test_both_sources_call_a_coin_the_same_and_agree_on_its_price(tmp_path: Path):
    files, _ = Snapshots(tmp_path, "market", COINS).write(0, 1)
    gecko, paprika = (json.loads(Path(file).read_bytes()) for _, file in files)

    for one, other in zip(gecko, paprika, strict=True):
        assert (one["name"], one["symbol"]) == (other["name"], other["symbol"].lower())
        price = other["quotes"]["USD"]["price"]
        assert abs((one["current_price"] or 0.0) - price) <= 0.005 * price
