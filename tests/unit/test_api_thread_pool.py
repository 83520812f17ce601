"""The thread pool: one client cannot occupy all threads, and every client has its turn."""

import threading

import pytest

from api.server.thread_pool import MAX_WAITING, FairThreadPool

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
def pool():
    pool = FairThreadPool(4, 3, "test")
    yield pool
    pool.shutdown()


def test_one_client_alone_has_its_share_of_the_threads(pool, blocks):
    for _ in range(10):
        assert pool.submit("a", blocks)

    assert blocks.has_started(3)
    assert not blocks.started.acquire(timeout=0.05)


def test_the_work_of_another_client_passes_what_waits(pool, blocks):
    for _ in range(100):
        pool.submit("a", blocks)
    done = threading.Event()

    pool.submit("b", done.set)

    assert done.wait(GIVE_UP)


def test_clients_take_turns_in_the_order_in_which_they_came():
    pool, blocks, order = FairThreadPool(1, 1, "test"), Blocks(), []
    pool.submit("z", blocks)
    assert blocks.has_started(1)
    finished = threading.Event()
    for client in "aaab":
        pool.submit(client, lambda client=client: order.append(client))
    pool.submit("c", lambda: order.append("c"))
    pool.submit("z", finished.set)

    blocks.ends.set()

    assert finished.wait(GIVE_UP)
    pool.shutdown()
    assert order[:3] == ["a", "b", "c"]


def test_all_that_waits_is_done_when_the_share_is_free_again(pool, blocks):
    done = threading.Semaphore(0)
    for _ in range(3):
        pool.submit("a", blocks)
    assert blocks.has_started(3)
    for _ in range(50):
        pool.submit("a", done.release)

    blocks.ends.set()

    assert all(done.acquire(timeout=GIVE_UP) for _ in range(50))


def test_a_client_with_too_much_waiting_is_refused_and_others_are_not(pool, blocks):
    for _ in range(3):
        pool.submit("a", blocks)
    assert blocks.has_started(3)

    taken = [pool.submit("a", blocks) for _ in range(MAX_WAITING + 1)]

    assert taken == [True] * MAX_WAITING + [False]
    assert pool.submit("b", lambda: None)


def test_what_was_submitted_before_the_end_is_still_done():
    pool, blocks, done = FairThreadPool(1, 1, "test"), Blocks(), threading.Event()
    pool.submit("a", blocks)
    pool.submit("a", done.set)

    pool.shutdown()
    blocks.ends.set()

    assert done.wait(GIVE_UP)
