"""The sources by name."""

LIVE_SOURCES = ("coinpaprika", "coingecko")
"""The providers whose records are of listings, and of the present."""

LISTING_SOURCES = ("csv", *LIVE_SOURCES)
"""The sources whose records are of listings: what assets and their values come from."""

SOURCES = (*LISTING_SOURCES, "coingecko_coins", "coinpaprika_contracts")
"""Every source by name, in the order in which the loop takes them: what needs no network first.

The last say which contracts coins have, once a day.
"""
