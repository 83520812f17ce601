"""Every source by name."""

from worker.sources.base import Source
from worker.sources.coingecko import Coingecko
from worker.sources.coinpaprika import Coinpaprika
from worker.sources.csv import CsvFiles

REGISTRY: dict[str, type[Source]] = {
    source.name: source for source in (Coinpaprika, Coingecko, CsvFiles)
}
