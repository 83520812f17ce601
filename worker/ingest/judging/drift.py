"""Apply drift to the outcome of a run."""

import structlog

from shared.model.runs import DRIFT
from worker.drift.differences import Difference
from worker.drift.ledger import OpenDrift
from worker.ingest.judging.ending import Ending

MOST_SAID = 10
"""Number of differences that one log line names; table `drift` has all."""

log = structlog.get_logger(__name__)


def judge_drift(source: str, drift: OpenDrift, ending: Ending) -> Ending:
    """Log a warning about drift, and fail a run that has not failed if a field's policy says so."""
    if drift.warn:
        log.warning(
            "records differed from the known shape of the source; see `worker drift list`, and "
            "accept the differences with `worker drift ack`",
            differences=[_describe(each) for each in drift.warn[:MOST_SAID]],
            count=len(drift.warn),
        )
    if not drift.fail or ending.outcome == "failed":
        return ending
    differences = "; ".join(_describe(each) for each in drift.fail[:MOST_SAID])
    return Ending(
        "failed",
        DRIFT,
        f"{source}: {differences}; the records are stored. See `worker drift list`; if the change "
        "is permanent, accept it with `worker drift ack ID`",
    )


def _describe(difference: Difference) -> str:
    share = f"{difference.share:.0%} of the records"
    return f"{difference.path!r} {difference.kind.replace('_', ' ')} in {share}"
