"""Which paths are canonical, and who a request says it comes from."""

from types import SimpleNamespace

import pytest

from api.middleware.paths import is_canonical
from api.server.request_head import PROBES, forwarded_for, has_one_host

CANONICAL = [
    "/",
    "/data",
    "/data/export",
    "/data/bitcoin~bitcoin/history",
    "/data/usd-coin_2",
    "/data/a%20b",
    "/data/%C3%A9t%c3%a9",
    "/data/%E2%82%BF",
    "/data/a+b@c:d",
    "/data/a%7Eb",
    "/data/...",
    "/data/.well-known",
    "/data/100%25",
]
OTHERS = [
    "",
    "data",
    "//",
    "//data",
    "/data/",
    "/data//export",
    "/data%2fexport",
    "/data%2Fexport",
    "/./data",
    "/data/./x",
    "/data/../data",
    "/data/..",
    "/data/.",
    "/data/%2e%2e/x",
    "/data/%2E",
    "/d%61ta",
    "/data/bit%63oin",
    "/data/%00",
    "/data/%0a",
    "/data/%7f",
    "/data/%",
    "/data/%zz",
    "/data/%ff",
    "/data/%C3",
    "/data/%ED%A0%80",
    "/data/é",
    "/data/a b",
    "/data/<b>",
    "/data\\x",
    "/data#x",
    "/data\n",
]


@pytest.mark.parametrize("path", CANONICAL)
def test_a_path_that_is_written_in_the_one_way_is_canonical(path):
    assert is_canonical(path)


@pytest.mark.parametrize("path", OTHERS)
def test_a_path_that_is_written_in_another_way_is_not(path):
    assert not is_canonical(path)


@pytest.mark.parametrize(
    ("proxies", "address"),
    [(1, "192.0.2.3"), (2, "192.0.2.2"), (3, "192.0.2.1"), (4, None)],
)
def test_the_client_is_who_the_first_trusted_proxy_saw(proxies, address):
    head = (
        b"GET /data HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.1, 192.0.2.2\r\n"
        b"x-forwarded-for:192.0.2.3 \r\n\r\nX-Forwarded-For: 192.0.2.9\r\n"
    )

    assert forwarded_for(head, proxies) == address


@pytest.mark.parametrize(
    ("version", "hosts", "right"),
    [
        ((1, 1), 1, True),
        ((1, 1), 0, False),
        ((1, 1), 2, False),
        ((1, 0), 0, True),
        ((1, 0), 1, True),
        ((1, 0), 2, False),
    ],
)
def test_a_request_names_one_host(version, hosts, right):
    headers = [("ACCEPT", "*/*"), *[("HOST", "x")] * hosts]

    assert has_one_host(SimpleNamespace(version=version, headers=headers)) is right


@pytest.mark.parametrize(
    ("line", "is_probe"),
    [
        (b"GET /health/live HTTP/1.1", True),
        (b"HEAD /health/ready HTTP/1.1", True),
        (b"GET /health/live?x=1 HTTP/1.1", True),
        (b"GET /health/lives HTTP/1.1", False),
        (b"GET /health HTTP/1.1", False),
        (b"POST /health/live HTTP/1.1", False),
    ],
)
def test_a_thread_is_reserved_for_probes_alone(line, is_probe):
    assert line.startswith(PROBES) is is_probe
