import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from worker.stopping import StopEvent, stop_on_signals

INTERRUPTED_WAITS = """
import signal
from worker.stopping import StopEvent

for n in range(2000):
    stop = StopEvent()
    signal.signal(signal.SIGALRM, lambda *_: stop.set())
    signal.setitimer(signal.ITIMER_REAL, 0.0002 + n / 1e7)
    while not stop.wait(0.00001):
        pass
"""
"""With `threading.Event`, this process hangs within its first rounds."""


def test_a_signal_handler_may_set_an_event_at_any_instant_of_a_wait():
    subprocess.run([sys.executable, "-c", INTERRUPTED_WAITS], check=True, timeout=60)


def test_it_wakes_every_thread_that_waits_and_stays_set():
    stop = StopEvent()
    assert not stop.wait(0.001)
    with ThreadPoolExecutor(3) as threads:
        waits = [threads.submit(stop.wait, 60) for _ in range(3)]
        stop.set()
        assert all(wait.result() for wait in waits)
    assert stop.is_set()
    assert stop.wait(60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_set_it_during_the_block_only(number: signal.Signals):
    before = signal.getsignal(number)
    stop = StopEvent()
    with stop_on_signals(stop):
        os.kill(os.getpid(), number)
        assert stop.wait(60)
    assert signal.getsignal(number) is before


def test_under_nohup_a_closed_terminal_stops_nothing():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = StopEvent()
    try:
        with stop_on_signals(stop):
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)
