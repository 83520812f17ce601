"""Outcomes of runs, their reasons, and the phases of a run."""

from collections.abc import Mapping

OUTCOMES = ("succeeded", "partial", "failed")
"""Outcomes of a completed run. Until then its outcome is `running`."""

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
"""Reasons that judging a run can find, each with its outcome. The codes are stable: monitors match
them."""

DRIFT = "drift"
"""Reason of a run that failed because a field with the policy `fail` differs."""

JUDGED = (*REASONS, DRIFT)
"""Reasons of runs that read all pages and were judged. Runs with other reasons were cut short."""

REFUSED_AGAIN = "refused_again"
"""Reason of a retry that failed because it refused every record again."""

CUT_OFF = ("interrupted", "stopped", "injected_failure")
"""Reasons of runs that were cut off at an arbitrary point; the next run continues them."""

REJECT_STATES = ("open", "resolved", "dismissed")
"""`resolved` rejects passed when they were read again; `dismissed` ones were closed by a person."""

PHASES: Mapping[str, str] = {
    "wait": "Waiting for the request budget, and between attempts",
    "fetch": "Sending requests and receiving responses",
    "check": "Reading, decoding and checking records",
    "load": "Executing the statements of the batches",
    "commit": "Moving the checkpoint and committing",
}
"""The time spent in each phase. `runs.phase_seconds` has the seconds by these names."""
