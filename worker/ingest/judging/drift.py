"""How a run ends whose records differ from what is known of its source."""

import structlog

from shared.model.runs import DRIFT
from worker.drift.differences import Difference
from worker.drift.ledger import Judged
from worker.ingest.judging.ending import Ending

MOST_SAID = 10
"""Differences that one log line names; the ledger has them all."""

log = structlog.get_logger(__name__)


def weigh_drift(source: str, judged: Judged, ending: Ending) -> Ending:
    """Warn of what differs, and fail a run that had not failed where a field is to fail it."""
    if judged.warn:
        log.warning(
            "records differ from what is known of the source; see `worker drift list`, and accept "
            "it with `worker drift ack`",
            differences=[_say(each) for each in judged.warn[:MOST_SAID]],
            count=len(judged.warn),
        )
    if not judged.fail or ending.outcome == "failed":
        return ending
    said = "; ".join(_say(each) for each in judged.fail[:MOST_SAID])
    return Ending(
        "failed",
        DRIFT,
        f"{source}: {said}; the records are stored. See `worker drift list`; if that is how the "
        "source is now, accept it with `worker drift ack ID`",
    )


def _say(difference: Difference) -> str:
    share = f"{difference.share:.0%} of the records"
    return f"{difference.path!r} {difference.kind.replace('_', ' ')} in {share}"
