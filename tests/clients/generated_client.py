"""Reads the API with a client that openapi-python-client made of its description: URL."""

import json
import sys

from market.api.data import data_asset, data_assets
from market.client import Client
from market.types import UNSET


def pages(client):
    cursor = UNSET
    while True:
        page = data_assets.sync(client=client, page_size=20, cursor=cursor)
        yield page.data
        if page.meta.next_cursor is None:
            return
        cursor = page.meta.next_cursor


def main(url):
    client = Client(base_url=url, raise_on_unexpected_status=True)
    found = list(pages(client))
    one = data_asset.sync(client=client, asset="bitcoin")
    missing = data_asset.sync(client=client, asset="no-such-coin")
    told = {
        "pages": len(found),
        "slugs": [asset.slug for page in found for asset in page],
        "symbol": one.data.symbol,
        "sources": sorted(listing.source.value for listing in one.data.listings),
        "problem": missing.code,
    }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
