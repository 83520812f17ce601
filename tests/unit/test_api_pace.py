"""The pace of a stream: slow clients are disconnected, fast ones are not."""

import socket
import threading

import pytest

from api.request.client_socket import MAX_BUFFERED_BYTES, ClientSocket, Pace

FAR = 3600.0


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    sock = ClientSocket(ours.family, ours.type, ours.proto, fileno=ours.detach())
    with sock, theirs:
        yield sock, theirs


def stream(sock, size=50 * MAX_BUFFERED_BYTES):
    for _ in range(size // 100_000):
        sock.sendall(b"x" * 100_000)


def test_a_client_that_takes_nothing_has_the_grace_alone(pair):
    sock, _client = pair
    sock.pace = Pace(1 << 16, FAR, grace=0.05)

    with pytest.raises(ConnectionResetError, match="too slow"):
        stream(sock)
    assert sock.pace.violation == "too_slow"
    assert not sock.unsent


def test_a_client_that_takes_a_little_now_and_then_is_cut_too(pair):
    sock, client = pair
    sock.pace = Pace(1e12, FAR, grace=0.2)
    ends = threading.Event()

    def sip():
        while not ends.wait(0.01):
            client.recv(1 << 14)

    sipping = threading.Thread(target=sip)
    sipping.start()
    with pytest.raises(ConnectionResetError):
        stream(sock)
    ends.set()
    sipping.join()
    assert sock.pace.violation == "too_slow"


def test_a_client_that_is_fast_enough_takes_all_of_it(pair):
    sock, client = pair
    sock.pace = Pace(1.0, FAR, grace=60)
    taken = 0

    def drain():
        nonlocal taken
        while data := client.recv(1 << 20):
            taken += len(data)

    draining = threading.Thread(target=drain)
    draining.start()
    stream(sock)
    while not sock.flush():
        pass
    sock.shutdown(socket.SHUT_WR)
    draining.join()

    assert taken == 50 * MAX_BUFFERED_BYTES // 100_000 * 100_000
    assert sock.pace.violation is None


def test_a_stream_that_takes_too_long_in_all_is_cut_however_fast_its_client_was(pair):
    sock, _client = pair
    sock.pace = Pace(1.0, max_seconds=0.05, grace=FAR)

    with pytest.raises(ConnectionResetError):
        stream(sock)
    assert sock.pace.violation == "too_long"


def test_a_client_without_a_pace_has_the_patience_of_its_socket(pair):
    sock, _client = pair
    sock.send_timeout = 0

    with pytest.raises(ConnectionResetError):
        stream(sock)
