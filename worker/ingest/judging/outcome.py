"""How a run that came to its end is judged: what it found beside what its source normally gives.

Pure functions. What each source is expected to give is declared in `shared/model/catalogue.py`,
what its recent runs gave is in the database (`normal.read_normal`). A run that broke off is judged by
what it broke off with; those reasons are in `worker/troubleshooting.md`.
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
from worker.ingest.judging.ending import Ending, Found, Normal

RECENT_RUNS = 20
"""How many of a source's last good runs say what is normal."""

FEWEST_COMPARED = 20
"""With fewer prices compared, or ids replaced, no share of them says anything of the source."""

FEWEST_RECENT_RUNS = 3
"""With fewer good runs than this, there is no normal share of rejects yet."""


def weigh(source: str, expects: Expectations, found: Found, normal: Normal) -> Ending:
    """Say whether what a source's own run brought is what it should have brought."""
    return (
        _too_many_rejects(source, expects, found)
        or _nothing_since(source, found, normal)
        or _empty_answer(source, found, normal)
        or _fewer_records(source, expects, found, normal)
        or _ids_changed(source, found)
        or _prices_shifted(source, expects, found)
        or _still_mistaken(source, found, normal)
        or _fewer_than_listed(source, expects, found, normal)
        or _more_rejects(source, expects, found, normal)
        or _frozen(source, expects, found, normal)
        or _unreadable_values(source, expects, found)
        or _differing_rows(source, found)
        or Ending("succeeded")
    )


def weigh_import(source: str, expects: Expectations, found: Found) -> Ending:
    """Say whether saved pages were what they were said to be; they have no normal size or age."""
    return (
        _too_many_rejects(source, expects, found)
        or _empty_answer(source, found, Normal())
        or _unreadable_values(source, expects, found)
        or _differing_rows(source, found)
        or Ending("succeeded")
    )


def has_too_many_rejects(expects: Expectations, seen: int, rejected: int) -> bool:
    """Whether a run refused more of what it saw than its source's runs may."""
    return rejected > expects.max_reject_share * seen


def _too_many_rejects(source: str, expects: Expectations, found: Found) -> Ending | None:
    rejected = found.rejected - found.dismissed
    if not has_too_many_rejects(expects, found.seen, rejected):
        return None
    why = f": {found.common_reason}" if found.common_reason else ""
    shown = "; see `worker rejects list`"
    if found.snapshot is None:
        hint = f"{shown}. {_accept_rejects(source)}"
    else:
        hint = f"{shown}, and `worker drift list` for what changed at the source"
    return _ending(
        TOO_MANY_REJECTS,
        f"{source}: {rejected} of {found.seen} records were rejected, more "
        f"than {expects.max_reject_share:.0%}{why}{hint}",
    )


def _accept_rejects(source: str) -> str:
    return (
        "Correct the file, or declare what it does not say; or accept that they are not read: "
        f"`worker rejects dismiss --source {source} --reason TEXT`"
    )


def _nothing_since(source: str, found: Found, normal: Normal) -> Ending | None:
    """Files are not read again: a run that reads none of their rows repeats what was wrong."""
    if found.snapshot is not None or found.seen:
        return None
    if normal.last_reason == TOO_MANY_REJECTS:
        return _ending(
            TOO_MANY_REJECTS,
            f"{source}: nothing new since too many records were rejected, and they are open; see "
            f"`worker rejects list`. {_accept_rejects(source)}",
        )
    if normal.last_reason == DIFFERING_ROWS:
        return _ending(
            DIFFERING_ROWS,
            f"{source}: nothing new since rows of one coin and instant differed; `worker runs` "
            "has the run. Correct the file, or declare what tells the rows apart; if they are "
            f"right, accept them with `worker checkpoint clear {source}`",
        )
    return None


def _empty_answer(source: str, found: Found, normal: Normal) -> Ending | None:
    if found.snapshot is None or found.snapshot > 0:
        return None
    expected = f" where about {normal.snapshot} were expected" if normal.snapshot else ""
    return _ending(
        EMPTY_ANSWER,
        f"{source}: the answer holds no record{expected}; look at what the source answers. "
        "What is stored stays as it is, and the next run asks again",
    )


def _fewer_records(
    source: str, expects: Expectations, found: Found, normal: Normal
) -> Ending | None:
    share = expects.min_snapshot_share
    if found.snapshot is None or share is None or not normal.snapshot:
        return None
    if found.snapshot >= share * normal.snapshot:
        return None
    return _ending(
        FEWER_RECORDS,
        f"{source}: {found.snapshot} records where about {normal.snapshot} were expected, less "
        f"than {share:.0%}; the source may be answering in part. If it really has no more, accept "
        f"it with `worker checkpoint clear {source}`",
    )


def has_changed_ids(found: Found) -> bool:
    """Whether most ids are new: then most of those that were known are absent."""
    replaced, snapshot = found.ids_replaced, found.snapshot
    return snapshot is not None and replaced >= FEWEST_COMPARED and 2 * replaced > snapshot


def _ids_changed(source: str, found: Found) -> Ending | None:
    if not has_changed_ids(found):
        return None
    return _ending(
        IDS_CHANGED,
        f"{source}: {found.ids_replaced} of {found.snapshot} ids are new, under symbols and names "
        "that other ids have; identity leaves them aside. If its next answer has the old ones "
        "again, that is all; if they are new for good, accept them with `worker checkpoint clear "
        f"{source}`",
    )


def _prices_shifted(source: str, expects: Expectations, found: Found) -> Ending | None:
    compared, share = found.prices_compared, expects.max_jumped_share
    if share is None or compared < FEWEST_COMPARED or found.prices_jumped <= share * compared:
        return None
    return _ending(
        PRICES_SHIFTED,
        f"{source}: {found.prices_jumped} of {compared} prices are more than twice, or less than "
        "half, what the last good run brought; compare them with the provider's own site. If they "
        f"are right, accept them with `worker checkpoint clear {source}`",
    )


def _still_mistaken(source: str, found: Found, normal: Normal) -> Ending | None:
    """What most records do not say anew is as it was."""
    unchanged = found.seen - found.new - found.revised
    if normal.mistake is None or 2 * unchanged <= found.seen:
        return None
    return _ending(
        normal.mistake,
        f"{source}: {unchanged} of {found.seen} records are as they were when the run "
        f"before found {normal.mistake}; if they are right, accept them with `worker checkpoint "
        f"clear {source}`",
    )


def _fewer_than_listed(
    source: str, expects: Expectations, found: Found, normal: Normal
) -> Ending | None:
    share = expects.min_listed_share
    if found.snapshot is None or not normal.listed or found.snapshot >= share * normal.listed:
        return None
    return _ending(
        FEWER_THAN_LISTED,
        f"{source}: {found.snapshot} records where the provider's own list has {normal.listed} "
        f"coins, less than {share:.0%}; the source may be answering in part. If the list is out of "
        f"date, read it again with `worker run --once --source {expects.listed_by}`",
    )


def _more_rejects(
    source: str, expects: Expectations, found: Found, normal: Normal
) -> Ending | None:
    if expects.max_reject_rise is None or len(normal.reject_shares) < FEWEST_RECENT_RUNS:
        return None
    # A run that went on with a snapshot saw the rest of it only: its rejects are few of the whole.
    of = max(found.seen, found.snapshot or 0)
    usual = Decimal(median(normal.reject_shares))
    if found.rejected <= (usual + expects.max_reject_rise) * of:
        return None
    return _ending(
        MORE_REJECTS,
        f"{source}: {found.rejected} of {of} records were rejected ({found.rejected / of:.1%}) "
        f"where {usual:.1%} are in its recent runs; see `worker rejects list`. If that is how the "
        f"source is now, accept it with `worker checkpoint clear {source}`",
    )


def _frozen(source: str, expects: Expectations, found: Found, normal: Normal) -> Ending | None:
    longest, unchanged_for = expects.max_unchanged_for, normal.unchanged_for
    if longest is None or unchanged_for is None or unchanged_for <= longest:
        return None
    if found.new and found.new >= expects.min_new_share * found.seen:
        return None
    return _ending(
        FROZEN,
        f"{source}: {found.new} of {found.seen} records are new, and next to none were for "
        f"{_minutes(unchanged_for)} where some are expected every {_minutes(longest)}; the source "
        "seems to repeat an old answer: compare it with the provider's own site and status page",
    )


def _unreadable_values(source: str, expects: Expectations, found: Found) -> Ending | None:
    """A file has its own words for no value; a provider that sends such values changed."""
    if found.snapshot is None or found.unreadable <= expects.max_reject_share * found.seen:
        return None
    return _ending(
        UNREADABLE_VALUES,
        f"{source}: {found.unreadable} of {found.seen} records have a value that is not readable, "
        f"more than {expects.max_reject_share:.0%}; those values are null, the log says which, and "
        "`worker drift list` what changed at the source",
    )


def _differing_rows(source: str, found: Found) -> Ending | None:
    if found.differing is None:
        return None
    return _ending(
        DIFFERING_ROWS,
        f"{source}: {found.differing}; all of them are stored. Correct the file, or declare what "
        "tells the rows apart, and read it again",
    )


def _minutes(span: timedelta) -> str:
    return f"{span.total_seconds() / 60:.0f} min"


def _ending(reason: str, error: str) -> Ending:
    return Ending(REASONS[reason], reason, error)
