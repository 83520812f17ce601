import re

import pytest

from api.request.tracing import Trace, continue_trace, is_valid_state

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
GIVEN = f"00-{TRACE}-{PARENT}-01"


def test_a_callers_trace_is_gone_on_with_under_a_span_of_our_own():
    trace = continue_trace(GIVEN, "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE")

    assert (trace.trace_id, trace.parent_id, trace.flags) == (TRACE, PARENT, 1)
    assert re.fullmatch("[0-9a-f]{16}", trace.span_id)
    assert trace.span_id not in {PARENT, "0" * 16}
    assert trace.traceparent == f"00-{TRACE}-{trace.span_id}-01"
    assert trace.state == "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        (f"00-{TRACE}-{PARENT}-00", "00"),
        (f"00-{TRACE}-{PARENT}-ff", "01"),
        (f"01-{TRACE}-{PARENT}-01", "01"),
        (f"cc-{TRACE}-{PARENT}-01-what-the-future-will-be-like", "01"),
        (f"fe-{TRACE}-{PARENT}-02-", "00"),
    ],
)
def test_of_the_flags_and_of_later_versions_what_is_known_is_kept(given, flags):
    trace = continue_trace(given, None)

    assert trace.parent_id == PARENT
    assert trace.traceparent == f"00-{TRACE}-{trace.span_id}-{flags}"


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "00",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}-01-",
        f"cc-{TRACE}-{PARENT}-01.more",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE[1:]}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-1",
        f" {GIVEN}",
        f"{GIVEN}\n",
        f"{GIVEN},{GIVEN}",
        f"0x-{TRACE}-{PARENT}-01",
        f"00-{TRACE[:-1]}{chr(0x661)}-{PARENT}-01",
    ],
)
def test_anything_else_begins_a_trace_without_parent_and_state(given):
    trace = continue_trace(given, "rojo=1")

    assert re.fullmatch("[0-9a-f]{32}", trace.trace_id)
    assert trace.trace_id not in {TRACE, "0" * 32}
    assert (trace.parent_id, trace.state, trace.flags) == (None, None, 0)


def test_no_two_requests_are_one_span():
    spans = {continue_trace(GIVEN, None).span_id for _ in range(1000)}

    assert len(spans) == 1000


def test_a_small_id_keeps_its_zeros():
    assert Trace("0" * 31 + "1", "0" * 15 + "1").traceparent == f"00-{'0' * 31}1-{'0' * 15}1-00"


@pytest.mark.parametrize(
    "state",
    [
        "a=1",
        "a=1,b=2",
        "a=1, b=2\t,c=3",
        "a=1,,b=2",
        "fw529a3039@dt=FfAAAAAAAA",
        "0tenant@vendor=x",
        "a_-*/=x y!~",
        f"{'a' * 256}=1",
        f"a={'x' * 256}",
        ",".join(f"k{number}=1" for number in range(32)),
    ],
)
def test_a_state_that_is_valid(state):
    assert is_valid_state(state)
    assert continue_trace(GIVEN, state).state == state


@pytest.mark.parametrize(
    "state",
    [
        "",
        ",",
        "a",
        "a=",
        "=1",
        "A=1",
        "0a=1",
        "a=1,a=2",
        "a=1=2",
        "a=ü",
        "a b=1",
        "a@b@c=1",
        "a=1\r\nX-Evil: 1",
        f"{'a' * 257}=1",
        f"a={'x' * 257}",
        ",".join(f"k{number}=1" for number in range(33)),
    ],
)
def test_a_state_that_is_not_is_left_out(state):
    trace = continue_trace(GIVEN, state)

    assert trace.state is None
    assert trace.parent_id == PARENT
