"""The index of crowds outlives the release that wrote it."""

from hashlib import sha256
from types import SimpleNamespace

from worker.identity.blocks.crowds import _hashes

LABELS = [
    ("coingecko", "pepe-2", "PEPE", "Pepe 2.0"),
    ("coingecko", "wrapped-bitcoin", "WBTC", "Wrapped Bitcoin"),
    ("coinpaprika", "luna-terra-v2", "LUNA", "Terra Luna v2"),
    ("csv", "b:17", "$MEME", "Meme Finance DAO (old)"),
    ("csv", "x", "ŞİRKET", "Şirket İstanbul"),
]


def test_a_change_of_the_keys_is_noticed():
    """A new digest needs a migration that empties `crowds` and `crowd_keys`."""
    numbers = [
        sorted(_hashes(SimpleNamespace(**row, is_renamed=renamed, is_delisted=not renamed)))
        for renamed in (True, False)
        for row in (
            dict(zip(("source", "external_id", "symbol", "name"), labels, strict=True))
            for labels in LABELS
        )
    ]

    assert sha256(repr(numbers).encode()).hexdigest()[:16] == "ff38da7d709eafd0"
