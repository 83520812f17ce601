"""Judge a completed run by its records and by the baseline of its source.

Pure functions. `shared/model/catalogue.py` declares what each source is expected to bring, and
`baseline.read_baseline` reads what its earlier runs brought. A run that was interrupted ends with
the reason of the interruption (`worker/troubleshooting.md`).
"""

from datetime import timedelta
from decimal import Decimal
from statistics import median

from shared.model.expectations import Expectations
from shared.model.runs import (
    DIFFERING_ROWS,
    EMPTY_ANSWER,
    FEWER_RECORDS,
    FEWER_THAN_LISTED,
    FROZEN,
    IDS_CHANGED,
    MORE_REJECTS,
    PRICES_SHIFTED,
    REASONS,
    TOO_MANY_REJECTS,
    UNREADABLE_VALUES,
)
from worker.ingest.judging.ending import Baseline, Ending, RunFacts

RECENT_RUNS = 20
"""Number of recent successful runs that define the normal share of rejects."""

FEWEST_COMPARED = 20
"""With fewer compared prices or replaced ids, their share is not significant."""

FEWEST_RECENT_RUNS = 3
"""With fewer successful runs, the normal share of rejects is unknown."""


def judge(source: str, expects: Expectations, facts: RunFacts, baseline: Baseline) -> Ending:
    """Decide the outcome of a source's own run."""
    return (
        _too_many_rejects(source, expects, facts)
        or _unchanged_files(source, facts, baseline)
        or _empty_answer(source, facts, baseline)
        or _fewer_records(source, expects, facts, baseline)
        or _ids_changed(source, facts)
        or _prices_shifted(source, expects, facts)
        or _still_suspected(source, facts, baseline)
        or _fewer_than_listed(source, expects, facts, baseline)
        or _more_rejects(source, expects, facts, baseline)
        or _frozen(source, expects, facts, baseline)
        or _unreadable_values(source, expects, facts)
        or _differing_rows(source, facts)
        or Ending("succeeded")
    )


def judge_import(source: str, expects: Expectations, facts: RunFacts) -> Ending:
    """Decide the outcome of an import; imports have no normal size or age."""
    return (
        _too_many_rejects(source, expects, facts)
        or _empty_answer(source, facts, Baseline())
        or _unreadable_values(source, expects, facts)
        or _differing_rows(source, facts)
        or Ending("succeeded")
    )


def has_too_many_rejects(expects: Expectations, seen: int, rejected: int) -> bool:
    """Whether the share of rejects exceeds the maximum of the source."""
    return rejected > expects.max_reject_share * seen


def _too_many_rejects(source: str, expects: Expectations, facts: RunFacts) -> Ending | None:
    rejected = facts.rejected - facts.dismissed
    if not has_too_many_rejects(expects, facts.seen, rejected):
        return None
    why = f"; {facts.common_reason}" if facts.common_reason else ""
    see = "; see `worker rejects list`"
    if facts.snapshot is None:
        hint = f"{see}. {_accept_rejects(source)}"
    else:
        hint = f"{see}, and `worker drift list` for changes at the source"
    differing = f". Also, {facts.differing}" if facts.differing else ""
    return _ending(
        TOO_MANY_REJECTS,
        f"{source}: {rejected} of {facts.seen} records were rejected, more "
        f"than {expects.max_reject_share:.0%}{why}{hint}{differing}",
    )


def _accept_rejects(source: str) -> str:
    return (
        "Correct the file, or complete its declaration; or accept the rejects with "
        f"`worker rejects dismiss --source {source} --reason TEXT`"
    )


def _unchanged_files(source: str, facts: RunFacts, baseline: Baseline) -> Ending | None:
    """Repeat an earlier problem: files are not read again, so no row of this run can show it."""
    if facts.snapshot is not None or facts.seen:
        return None
    if baseline.last_reason == TOO_MANY_REJECTS:
        return _ending(
            TOO_MANY_REJECTS,
            f"{source}: no new rows since too many records were rejected, and the rejects are "
            f"open; see `worker rejects list`. {_accept_rejects(source)}",
        )
    if baseline.last_reason == DIFFERING_ROWS:
        return _ending(
            DIFFERING_ROWS,
            f"{source}: no new rows since a run found different values of one coin and instant; "
            "see `worker runs`. Correct the file, or declare the column that tells the rows apart; "
            f"if they are right, accept them with `worker checkpoint clear {source}`",
        )
    return None


def _empty_answer(source: str, facts: RunFacts, baseline: Baseline) -> Ending | None:
    if facts.snapshot is None or facts.snapshot > 0:
        return None
    expected = f"; about {baseline.snapshot} were expected" if baseline.snapshot else ""
    return _ending(
        EMPTY_ANSWER,
        f"{source}: the response has no records{expected}. Stored data is unchanged, and the next "
        "run tries again; if it persists, check the response of the source",
    )


def _fewer_records(
    source: str, expects: Expectations, facts: RunFacts, baseline: Baseline
) -> Ending | None:
    share = expects.min_snapshot_share
    if facts.snapshot is None or share is None or not baseline.snapshot:
        return None
    if facts.snapshot >= share * baseline.snapshot:
        return None
    return _ending(
        FEWER_RECORDS,
        f"{source}: {facts.snapshot} records, but about {baseline.snapshot} were expected (at "
        f"least {share:.0%} of them); the response may be incomplete. If the source has fewer now, "
        f"accept it with `worker checkpoint clear {source}`",
    )


def has_changed_ids(facts: RunFacts) -> bool:
    """Whether most ids of the snapshot are new, so that most known ids are absent."""
    replaced, snapshot = facts.ids_replaced, facts.snapshot
    return snapshot is not None and replaced >= FEWEST_COMPARED and 2 * replaced > snapshot


def _ids_changed(source: str, facts: RunFacts) -> Ending | None:
    if not has_changed_ids(facts):
        return None
    return _ending(
        IDS_CHANGED,
        f"{source}: {facts.ids_replaced} of {facts.snapshot} ids are new, with symbols and names "
        "that other ids have; identity ignores them for now. If the next response has the old ids, "
        "no action is needed. If the new ids are permanent, accept them with `worker checkpoint "
        f"clear {source}`",
    )


def _prices_shifted(source: str, expects: Expectations, facts: RunFacts) -> Ending | None:
    compared, share = facts.prices_compared, expects.max_jumped_share
    if share is None or compared < FEWEST_COMPARED or facts.prices_jumped <= share * compared:
        return None
    return _ending(
        PRICES_SHIFTED,
        f"{source}: {facts.prices_jumped} of {compared} prices more than doubled or halved since "
        "the last successful run; compare them with the provider's site. If they are right, accept "
        f"them with `worker checkpoint clear {source}`",
    )


def _still_suspected(source: str, facts: RunFacts, baseline: Baseline) -> Ending | None:
    """Repeat the suspicion of the last run if most records have not changed since."""
    unchanged = facts.seen - facts.new - facts.revised
    if baseline.suspicion is None or 2 * unchanged <= facts.seen:
        return None
    return _ending(
        baseline.suspicion,
        f"{source}: {unchanged} of {facts.seen} records have not changed since the previous run "
        f"ended with {baseline.suspicion}; if they are right, accept them with `worker checkpoint "
        f"clear {source}`",
    )


def _fewer_than_listed(
    source: str, expects: Expectations, facts: RunFacts, baseline: Baseline
) -> Ending | None:
    share = expects.min_listed_share
    if facts.snapshot is None or not baseline.listed or facts.snapshot >= share * baseline.listed:
        return None
    return _ending(
        FEWER_THAN_LISTED,
        f"{source}: {facts.snapshot} records, but the provider's list has {baseline.listed} "
        f"coins (at least {share:.0%} of them are expected); the response may be incomplete. If "
        "the list is outdated, read it again with `worker run --once --source "
        f"{expects.listed_by}`",
    )


def _more_rejects(
    source: str, expects: Expectations, facts: RunFacts, baseline: Baseline
) -> Ending | None:
    if expects.max_reject_rise is None or len(baseline.reject_shares) < FEWEST_RECENT_RUNS:
        return None
    # A run that resumed a snapshot saw only the rest of it, so rejects are a share of the whole.
    records = max(facts.seen, facts.snapshot or 0)
    usual = Decimal(median(baseline.reject_shares))
    if facts.rejected <= (usual + expects.max_reject_rise) * records:
        return None
    share = facts.rejected / records
    return _ending(
        MORE_REJECTS,
        f"{source}: {facts.rejected} of {records} records were rejected ({share:.1%}), but "
        f"{usual:.1%} in recent runs; see `worker rejects list`. If the change is permanent, "
        f"accept it with `worker checkpoint clear {source}`",
    )


def _frozen(
    source: str, expects: Expectations, facts: RunFacts, baseline: Baseline
) -> Ending | None:
    longest, unchanged_for = expects.max_unchanged_for, baseline.unchanged_for
    if longest is None or unchanged_for is None or unchanged_for <= longest:
        return None
    if facts.new and facts.new >= expects.min_new_share * facts.seen:
        return None
    return _ending(
        FROZEN,
        f"{source}: {facts.new} of {facts.seen} records are new, and almost none were for "
        f"{_minutes(unchanged_for)}; some are expected every {_minutes(longest)}. The source seems "
        "to repeat an old response; compare it with the provider's site and status page",
    )


def _unreadable_values(source: str, expects: Expectations, facts: RunFacts) -> Ending | None:
    """Judge providers only: in files, unreadable values often mean "unknown"."""
    if facts.snapshot is None or facts.unreadable <= expects.max_reject_share * facts.seen:
        return None
    return _ending(
        UNREADABLE_VALUES,
        f"{source}: {facts.unreadable} of {facts.seen} records have an unreadable value, more than "
        f"{expects.max_reject_share:.0%}; those values are null. The log names them, and `worker "
        "drift list` shows changes at the source",
    )


def _differing_rows(source: str, facts: RunFacts) -> Ending | None:
    if facts.differing is None:
        return None
    return _ending(
        DIFFERING_ROWS,
        f"{source}: {facts.differing}; all of them are stored. Correct the file, or declare the "
        "column that tells the rows apart, and read it again",
    )


def _minutes(span: timedelta) -> str:
    return f"{span.total_seconds() / 60:.0f} min"


def _ending(reason: str, error: str) -> Ending:
    return Ending(REASONS[reason], reason, error)
