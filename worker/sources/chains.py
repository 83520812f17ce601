"""Chains and contract addresses: the form in which those of different providers are compared.

A chain is called as CoinGecko calls it. `CHAINS` says which platform of another provider is the
same chain; one that is not in it keeps its provider's name before its own (`coinpaprika:abc-abc`),
and so never meets a chain of anybody else. To teach it one, add a line.
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
"""By provider: its platform's id, and what the chain is called here."""

KNOWN = frozenset(chain for own in CHAINS.values() for chain in own.values())

EVM_ADDRESS = re.compile("0x[0-9a-f]{40}", re.ASCII | re.IGNORECASE)


def chain_name(provider: str, platform: str) -> str:
    """Say what a provider's platform is called here; the same platform always the same."""
    platform = platform.strip()
    if provider == "coingecko":
        return platform if platform in KNOWN else f"{provider}:{platform}"
    return CHAINS.get(provider, {}).get(platform, f"{provider}:{platform}")


def normalise_address(address: str) -> str:
    """Bring an address to the form in which it is compared; one that is empty stays so.

    The capitals of an EVM address are only a checksum (EIP-55); in any other they count.
    """
    address = address.strip()
    return address.lower() if EVM_ADDRESS.fullmatch(address) else address


def contracts_on(provider: str, addresses: Mapping[str, str | None]) -> tuple[tuple[str, str], ...]:
    """Give the (chain, address) pairs of addresses by platform, sorted, without the empty ones."""
    return tuple(
        sorted(
            {
                (chain_name(provider, platform), own)
                for platform, address in addresses.items()
                if platform.strip() and (own := normalise_address(address or ""))
            }
        )
    )
