"""The head of a request while it arrives, and clients that do not read their response."""

import socket
import threading

import pytest

from api.request.client_socket import MAX_BUFFERED_BYTES, Budget, ClientSocket
from api.server.request_head import GONE, HEAD_BYTES, MORE, WHOLE, judge

LINE = b"GET / HTTP/1.1\r\n"


@pytest.mark.parametrize(
    ("received", "verdict"),
    [
        (b"", MORE),
        (b"G", MORE),
        (LINE, MORE),
        (LINE + b"Host: x\r\n", MORE),
        (LINE + b"Host: x\r\n\r", MORE),
        (LINE + b"Host: x\r\n\r\n", WHOLE),
        (LINE + b"\r\n", WHOLE),
        (LINE + b"\r\n" + LINE + b"\r\n", WHOLE),
        (LINE + b"\r\n" + b"a" * HEAD_BYTES * 2, WHOLE),
        (b"\r\n\r\n", WHOLE),
        (LINE + b"Content-Length: 3\r\n\r\n", MORE),
        (LINE + b"content-length:3 \r\nA: b\r\n\r\nab", MORE),
        (LINE + b"Content-Length: 3\r\n\r\nabc", WHOLE),
        (LINE + b"Content-Length: 4096\r\n\r\n", MORE),
        (LINE + b"Content-Length: 4097\r\n\r\n", WHOLE),
        (LINE + b"Content-Length: 99999\r\n\r\n", WHOLE),
        (LINE + b"Content-Length: x\r\n\r\n", WHOLE),
        (LINE + b"\r\nContent-Length: 3\r\n", WHOLE),
        (b"GET / HTTP/1.1\n\n", 400),
        (LINE + b"a: b\n\r\n", 400),
        (b"GET /" + b"a" * HEAD_BYTES, 414),
        (LINE + b"a: " + b"a" * HEAD_BYTES, 431),
        (LINE + b"a: " + b"a" * HEAD_BYTES + b"\r\n\r\n", 431),
    ],
    ids=range(23),
)
def test_a_request_is_whole_with_its_body_and_refused_when_it_cannot_become_one(received, verdict):
    assert judge(bytearray(received)) == verdict


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    sock = ClientSocket(ours.family, ours.type, ours.proto, fileno=ours.detach(), send_timeout=0.05)
    with sock, theirs:
        yield sock, theirs


def test_a_response_to_a_slow_client_is_buffered_and_does_not_block(pair):
    sock, client = pair
    answer = bytes(range(256)) * (MAX_BUFFERED_BYTES // 256)

    sock.sendall(answer[:100])
    sock.sendall(answer[100:])

    assert sock.unsent
    taken = b""
    while not sock.flush():
        taken += client.recv(1 << 16)
    while len(taken) < len(answer):
        taken += client.recv(1 << 16)
    assert taken == answer


def stream(sock, piece, pieces):
    for _ in range(pieces):
        sock.sendall(piece)


def test_a_client_that_reads_a_stream_too_slowly_is_disconnected(pair):
    sock, _client = pair

    with pytest.raises(ConnectionResetError, match="client too slow to read the response"):
        stream(sock, b"x" * 100_000, pieces=100)
    assert not sock.unsent


def test_a_stream_arrives_complete_and_in_order(pair):
    sock, client = pair
    sock.send_timeout = 60
    pieces = [bytes([number]) * 300_000 for number in range(20)]
    taken = bytearray()

    def take():
        while data := client.recv(1 << 16):
            taken.extend(data)

    taking = threading.Thread(target=take)
    taking.start()
    for piece in pieces:
        sock.sendall(piece)
    while not sock.flush():
        pass
    sock.shutdown(socket.SHUT_WR)
    taking.join()

    assert taken == b"".join(pieces)


def test_the_buffers_of_all_clients_are_bounded(pair):
    sock, _client = pair
    sock.budget = Budget(1000)

    with pytest.raises(ConnectionResetError):
        sock.sendall(b"x" * MAX_BUFFERED_BYTES)
    assert not sock.unsent
    assert sock.budget.reserve(1000)
    assert not sock.budget.reserve(1)


def test_verdicts_differ_from_statuses():
    assert {MORE, WHOLE, GONE}.isdisjoint({400, 408, 413, 414, 431})
