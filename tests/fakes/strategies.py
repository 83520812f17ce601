"""Generated input: records of each source's shape with odd values, and real payloads damaged."""

import json
from collections.abc import Mapping

from hypothesis import strategies as st

Pairs = list[tuple[str, bytes]]
"""An object's fields with their values as JSON text; a name can stand twice."""

DIGITS = "".join(str(pow(7, n, 1_000_003)) for n in range(4000))
"""Digits without a pattern, which Postgres cannot make smaller."""

NUMBERS = [
    *("0", "0.0", "-0", "-0.0", "1", "1.50", "8.69e-05", "1.0000000000000002e-18", "1E+2", "-1"),
    *("9007199254740993", "18446744073709551616", "613445605654.000", "123456.789012345678"),
    *("1e40", "1.1e40", "1e-40", "9e-41", "1e400", "-1e400", "1e-400", "1e4000", "1e4001"),
    *("1e99999", "1e-99999", "1e999999999999999999999", "0e999999", "0e-99999", "1e0000001"),
    *("NaN", "Infinity", "-Infinity", "01", "1.", ".5", "+1", "1e", "0x10", "1_000"),
    *("9" * 400, "9" * 1000, "9" * 4301, "0." + "0" * 39 + "1" * 1001, "0." + "0" * 17_000 + "1"),
    *("1." + DIGITS[:990], "1." + DIGITS[:6000], "1." + DIGITS[:17_000], "1." + "0" * 17_000),
]
WORDS = [
    *(
        "",
        " ",
        "\u00a0",
        "Bitcoin",
        " Bitcoin\u00a0",
        "BTC",
        "\N{COIN}",
        "\u202ebtc",
        "\ufdfa" * 40,
    ),
    *(
        "\0",
        "a\0b",
        "\\u0000",
        "\\",
        "\\N",
        "\\.",
        "\t",
        "a\nb\r\nc",
        "\x1f",
        "\x7f",
        "\u2028",
        '"',
    ),
    *("\ud800", "a\udc00b", "\ud83e\ude99", "\ufeff", "x" * 300, "x" * 301, "\N{COIN}" * 300),
    *("ß" * 300, "İstanbul", "~1", "kaggle:btc", ":", "undefined", "NULL", "null", "1"),
]
INSTANTS = [
    *("2025-03-01T12:00:00Z", "2025-03-01T12:00:00.000Z", "2025-03-01T12:00:00.123456789Z"),
    *("2025-03-01T12:00:00+14:00", "2025-03-01T12:00:00", "2025-03-01", "2025-W09-6T12Z"),
    *("1970-01-01T00:00:00Z", "2009-01-03T00:00:00Z", "2999-01-01T00:00:00Z", "now", ""),
    *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2016-12-31T23:59:60Z"),
    *("20250301T120000Z", "2025-03-01T24:00:00Z", "2025-03-01T12:00:00+00:00:00.5", "1740830400"),
]
JUNK = [
    *(
        b"null",
        b"true",
        b"{}",
        b"[]",
        b'{"a":{"b":[1,{"c":null}]}}',
        b'[[["\\u0000"]]]',
        b'{"":""}',
    ),
    *(b"[" * 101 + b"]" * 101, b'{"a":' * 99 + b"1" + b"}" * 99, b"[" * 10_000, b"nul", b"'a'"),
    *(b'"\xff"', b'"\xed\xa0\x80"', b'"\x00"', b'"a\nb"', b'"\\x"', b'"' + b"y" * 100_001 + b'"'),
]
TOKENS = [
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b";", b"\t", b"|", b"\r", b"\n", b"\r\n"),
    *(b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", b"\xc2", b"\x1a", b" ", b"''"),
    *(b"\\u0000", b"\\ud800", b"\\u", b"1e999", b"NaN", b"-", b"+", b"0", b"9" * 1000, b"$", b"%"),
    *(b"//", b"<html>", b"null", b'"a":1,', b"[[", b"}]", b"1,5", b"1e99999", b"\xc2\xa0"),
]

characters = st.characters(exclude_categories=())
"""Any code point, U+0000 and halves of surrogate pairs too."""

numbers = st.one_of(
    st.sampled_from(NUMBERS),
    st.from_regex(r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
).map(str.encode)


def _quoted(text: str, *, is_escaped: bool) -> bytes:
    return json.dumps(text, ensure_ascii=is_escaped).encode(errors="surrogatepass")


texts = st.builds(
    lambda text, is_escaped: _quoted(text, is_escaped=is_escaped),
    st.one_of(st.sampled_from(WORDS + INSTANTS), st.text(characters, max_size=20)),
    st.booleans(),
)
junk = st.sampled_from(JUNK)
odd_values = st.one_of(numbers, texts, junk)
unstorable = st.sampled_from([b'"\\u0000"', b'{"\\u0000":1}', b'["\\ud800"]', b"1e99999", b"NaN"])
"""JSON, or nearly, that no JSONB column takes."""

_ids = st.sampled_from([b'"bitcoin"', b'"btc-bitcoin"', b'"ether"', b'"\\u00e9ther"', b'"x"'])
_symbols = st.sampled_from([b'"btc"', b'"BTC"', b'""', b'"eth"'])
_names = st.sampled_from([b'"Bitcoin"', b'" bitcoin "', b'"Ether"', b'"Ether \\ud83e\\ude99"'])
_instants = st.sampled_from([f'"2025-03-01T12:0{n}:00.000Z"'.encode() for n in range(4)])
_amounts = st.sampled_from([b"1", b"1.50", b"0", b"8.69e-05", b"32797.104559839122", b"null"])

SHAPES: Mapping[str, Mapping[str, st.SearchStrategy[bytes]]] = {
    "coingecko": {
        "id": _ids,
        "symbol": _symbols,
        "name": _names,
        "last_updated": _instants,
        "current_price": _amounts,
        "market_cap": _amounts,
        "total_volume": _amounts,
        "circulating_supply": _amounts,
        "total_supply": _amounts,
        "max_supply": _amounts,
        "roi": st.sampled_from([b"null", b'{"times":1.5,"currency":"btc"}']),
    },
    "coinpaprika": {
        "id": _ids,
        "symbol": _symbols,
        "name": _names,
        "last_updated": _instants,
        "total_supply": _amounts,
        "max_supply": _amounts,
        "quotes": st.builds(
            lambda price, cap, volume: (
                b'{"USD":{"price":%b,"market_cap":%b,"volume_24h":%b}}' % (price, cap, volume)
            ),
            *(st.one_of(_amounts, numbers, odd_values) for _ in range(3)),
        ),
    },
}


@st.composite
def pairs(draw: st.DrawFn, source: str) -> Pairs:
    """The fields of a record of the source, mostly right: some odd, absent, extra or twice."""
    fields = [(name, draw(strategy)) for name, strategy in SHAPES[source].items()]
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2, 5]))):
        at = draw(st.integers(0, len(fields) - 1))
        name = fields[at][0]
        match draw(st.sampled_from(["odd", "number", "absent", "extra", "twice", "twice"])):
            case "odd":
                fields[at] = (name, draw(odd_values))
            case "number":
                fields[at] = (name, draw(numbers))
            case "absent":
                del fields[at]
            case "extra":
                extra = draw(st.sampled_from(["rank", "", "\0", "\ud800", "ID", "a" * 500]))
                fields.insert(at, (extra, draw(odd_values)))
            case "twice":
                value = draw(st.one_of(unstorable, odd_values))
                fields.insert(draw(st.integers(0, len(fields))), (name, value))
        if not fields:
            break
    return fields


@st.composite
def objects(draw: st.DrawFn, source: str) -> bytes:
    """One record of the source, as bytes in some spelling of JSON."""
    fields = draw(pairs(source))
    colon, comma = draw(st.sampled_from([(b":", b","), (b": ", b", "), (b" :\t", b"\r\n,\n")]))
    return (
        b"{"
        + comma.join(_quoted(name, is_escaped=True) + colon + value for name, value in fields)
        + b"}"
    )


def elements(source: str) -> st.SearchStrategy[bytes]:
    """What can stand in a source's list: a record, or now and then anything else."""
    mostly = [objects(source)] * 9
    return st.one_of(*mostly, odd_values)


def lists(source: str, *, least: int = 0, most: int = 12) -> st.SearchStrategy[list[bytes]]:
    """The elements of one answer."""
    return st.lists(elements(source), min_size=least, max_size=most)


spaces = st.sampled_from([b"", b"", b" ", b"\n", b"\r\n\t "])


@st.composite
def damaged(draw: st.DrawFn, originals: st.SearchStrategy[bytes]) -> bytes:
    """Bytes in which some were changed, lost, added, doubled or cut off."""
    data = draw(originals)
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(data)))
        end = at + draw(st.sampled_from([1, 1, 1, 2, 5, 40, 400]))
        match draw(st.sampled_from(["flip", "delete", "insert", "insert", "double", "truncate"])):
            case "flip" if at < len(data):
                bit = 1 << draw(st.integers(0, 7))
                data = data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]
            case "delete":
                data = data[:at] + data[end:]
            case "insert":
                data = data[:at] + draw(st.one_of(st.sampled_from(TOKENS), numbers)) + data[at:]
            case "double":
                data = data[:end] + data[at:]
            case "truncate":
                data = data[:at] if draw(st.booleans()) else data[at:]
    return data
