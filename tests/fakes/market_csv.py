"""The made-up market as a CSV file, the way an exporting desk would replace it."""

import csv
import json
from pathlib import Path

from tests.fakes.market import Market

COLUMNS = {
    "id": "id",
    "symbol": "symbol",
    "name": "name",
    "price_usd": "current_price",
    "market_cap_usd": "market_cap",
    "last_updated": "last_updated",
}
"""Each column, and the field of the market's record that is in it."""


def write_sheet(path: Path, market: Market) -> Path:
    """Write every coin as it stands now, whole or not at all: a new file takes the old one's name.

    Returns the path.
    """
    new = path.with_suffix(".new")
    with new.open("w", newline="") as file:
        sheet = csv.writer(file)
        sheet.writerow(COLUMNS)
        for coin in market.coins:
            record = json.loads(market.market(coin))
            sheet.writerow(record[field] for field in COLUMNS.values())
    return new.replace(path)
