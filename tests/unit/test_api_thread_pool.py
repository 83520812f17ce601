"""Turns: one client cannot have all of the threads, and every client has its turn."""

import threading

import pytest

from api.server.turns import MOST_WAITING, Turns

GIVE_UP = 60


class Blocks:
    """Work that lasts until it is told to end."""

    def __init__(self):
        self.started = threading.Semaphore(0)
        self.ends = threading.Event()

    def __call__(self):
        self.started.release()
        assert self.ends.wait(GIVE_UP)

    def has_started(self, times):
        return all(self.started.acquire(timeout=GIVE_UP) for _ in range(times))


@pytest.fixture
def blocks():
    blocks = Blocks()
    yield blocks
    blocks.ends.set()


@pytest.fixture
def turns():
    turns = Turns(4, 3, "test")
    yield turns
    turns.shutdown()


def test_one_client_alone_has_its_share_of_the_threads(turns, blocks):
    for _ in range(10):
        assert turns.submit("a", blocks)

    assert blocks.has_started(3)
    assert not blocks.started.acquire(timeout=0.05)


def test_the_work_of_another_client_passes_what_waits(turns, blocks):
    for _ in range(100):
        turns.submit("a", blocks)
    done = threading.Event()

    turns.submit("b", done.set)

    assert done.wait(GIVE_UP)


def test_clients_take_turns_in_the_order_in_which_they_came():
    turns, blocks, order = Turns(1, 1, "test"), Blocks(), []
    turns.submit("z", blocks)
    assert blocks.has_started(1)
    finished = threading.Event()
    for client in "aaab":
        turns.submit(client, lambda client=client: order.append(client))
    turns.submit("c", lambda: order.append("c"))
    turns.submit("z", finished.set)

    blocks.ends.set()

    assert finished.wait(GIVE_UP)
    turns.shutdown()
    assert order[:3] == ["a", "b", "c"]


def test_all_that_waits_is_done_when_the_share_is_free_again(turns, blocks):
    done = threading.Semaphore(0)
    for _ in range(3):
        turns.submit("a", blocks)
    assert blocks.has_started(3)
    for _ in range(50):
        turns.submit("a", done.release)

    blocks.ends.set()

    assert all(done.acquire(timeout=GIVE_UP) for _ in range(50))


def test_a_client_with_too_much_waiting_is_refused_and_others_are_not(turns, blocks):
    for _ in range(3):
        turns.submit("a", blocks)
    assert blocks.has_started(3)

    taken = [turns.submit("a", blocks) for _ in range(MOST_WAITING + 1)]

    assert taken == [True] * MOST_WAITING + [False]
    assert turns.submit("b", lambda: None)


def test_what_was_submitted_before_the_end_is_still_done():
    turns, blocks, done = Turns(1, 1, "test"), Blocks(), threading.Event()
    turns.submit("a", blocks)
    turns.submit("a", done.set)

    turns.shutdown()
    blocks.ends.set()

    assert done.wait(GIVE_UP)
