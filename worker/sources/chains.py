"""Names of chains and forms of addresses, comparable between providers.

A chain has CoinGecko's name. `CHAINS` maps the platforms of other providers to these names. A
platform that is not listed keeps its provider as prefix (`coinpaprika:abc-abc`) and matches no
other chain. To support one, add a line.
"""

import re
from collections.abc import Mapping

COINPAPRIKA = "coinpaprika"

CHAINS: Mapping[str, Mapping[str, str]] = {
    COINPAPRIKA: {
        "alph-alephium": "alephium",
        "ardr-ardor": "ardor",
        "arb-arbitrum": "arbitrum-one",
        "astr-astar": "astar",
        "avax-avalanche": "avalanche",
        "bnb-binance-coin": "binance-smart-chain",
        "eos-eos": "eos",
        "etc-ethereum-classic": "ethereum-classic",
        "eth-ethereum": "ethereum",
        "evmos-evmos": "evmos",
        "ftm-fantom": "fantom",
        "ht-huobi-token": "huobi-token",
        "matic-polygon": "polygon-pos",
        "neo-neo": "neo",
        "op-optimism": "optimistic-ethereum",
        "qtum-qtum": "qtum",
        "sol-solana": "solana",
        "trx-tron": "tron",
        "vet-vechain": "vechain",
        "wan-wanchain": "wanchain",
        "waves-waves": "waves",
        "xlm-stellar": "stellar",
        "xrp-xrp": "xrp",
    },
}
"""By provider: platform id -> name of the chain."""

KNOWN_CHAINS = frozenset(chain for names in CHAINS.values() for chain in names.values())

EVM_ADDRESS = re.compile("0x[0-9a-f]{40}", re.ASCII | re.IGNORECASE)


def chain_name(provider: str, platform: str) -> str:
    """Return the name of a provider's platform, always the same for the same platform."""
    platform = platform.strip()
    if provider == "coingecko":
        return platform if platform in KNOWN_CHAINS else f"{provider}:{platform}"
    return CHAINS.get(provider, {}).get(platform, f"{provider}:{platform}")


def normalise_address(address: str) -> str:
    """Normalise an address for comparison; an empty one stays empty.

    The case of an EVM address is only a checksum (EIP-55). In other addresses it is significant.
    """
    address = address.strip()
    return address.lower() if EVM_ADDRESS.fullmatch(address) else address


def contracts_on(provider: str, addresses: Mapping[str, str | None]) -> tuple[tuple[str, str], ...]:
    """Return the sorted (chain, address) pairs of addresses by platform, without empty ones."""
    return tuple(
        sorted(
            {
                (chain_name(provider, platform), normalised)
                for platform, address in addresses.items()
                if platform.strip() and (normalised := normalise_address(address or ""))
            }
        )
    )
