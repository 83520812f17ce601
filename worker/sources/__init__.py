"""Every source by name."""

from worker.sources.base import Source
from worker.sources.coingecko import Coingecko
from worker.sources.coingecko_coins import CoingeckoCoins
from worker.sources.coinpaprika import Coinpaprika
from worker.sources.coinpaprika_contracts import CoinpaprikaContracts
from worker.sources.csv import CsvFiles

REGISTRY: dict[str, type[Source]] = {
    source.name: source
    for source in (Coinpaprika, Coingecko, CsvFiles, CoingeckoCoins, CoinpaprikaContracts)
}
