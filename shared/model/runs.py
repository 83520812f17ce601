"""What a run can come to, why, and the phases in which its time is counted."""

from collections.abc import Mapping

OUTCOMES = ("succeeded", "partial", "failed")
"""What a run that is over came to. One that is not is `running`."""

TOO_MANY_REJECTS = "too_many_rejects"
EMPTY_ANSWER = "empty_answer"
FEWER_RECORDS = "fewer_records"
FEWER_THAN_LISTED = "fewer_than_listed"
MORE_REJECTS = "more_rejects"
FROZEN = "frozen"
IDS_CHANGED = "ids_changed"
PRICES_SHIFTED = "prices_shifted"
UNREADABLE_VALUES = "unreadable_values"
DIFFERING_ROWS = "differing_rows"

REASONS = {
    TOO_MANY_REJECTS: "failed",
    EMPTY_ANSWER: "failed",
    FEWER_RECORDS: "partial",
    FEWER_THAN_LISTED: "partial",
    MORE_REJECTS: "partial",
    FROZEN: "partial",
    IDS_CHANGED: "partial",
    PRICES_SHIFTED: "partial",
    UNREADABLE_VALUES: "partial",
    DIFFERING_ROWS: "partial",
}
"""What is found by weighing a run, and the outcome that it makes. Codes are stable: monitors match
them."""

DRIFT = "drift"
"""Why a run failed, where a field that is declared to fail it differs."""

WEIGHED = (*REASONS, DRIFT)
"""The reasons of runs that came to their end, and were weighed; any other one broke off."""

CUT_OFF = ("interrupted", "stopped", "injected_failure")
"""The reasons of runs that were cut off wherever they were; the next run goes on with them."""

REJECT_STATES = ("open", "resolved", "dismissed")
"""What a refused record can be: refused still, passed after all, or closed by a person."""

PHASES: Mapping[str, str] = {
    "wait": "Waiting for a turn by the request budget, and between attempts",
    "fetch": "Asking the source, and receiving its answers",
    "check": "Reading, decoding and checking records",
    "load": "The statements of the batches",
    "commit": "Moving the checkpoint, and the COMMITs",
}
"""Each phase, and what is counted in it. `runs.phase_seconds` holds the seconds by these names."""
