"""How commands show the result of a run."""

import pytest

from worker.cli.output import show_result
from worker.ingest.batch.contents import Counts
from worker.ingest.judging.ending import Ending
from worker.ingest.runs.options import Result


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        (Counts(1, 1), "1 fetched = 1 new + 0 unchanged + 0 rejected"),
        (Counts(1, unchanged=1, revised=1), "0 new + 1 unchanged + 0 rejected; 1 revised"),
        (
            Counts(4, 1, 1, 2, revised=1, dismissed=2),
            "1 new + 1 unchanged + 2 rejected (2 dismissed); 1 revised",
        ),
    ],
)
def test_a_result_says_what_became_of_the_records(
    counts: Counts, shown: str, capsys: pytest.CaptureFixture[str]
):
    show_result(Result("csv", 7, Ending("succeeded"), counts))

    assert capsys.readouterr().out.endswith(f"{shown}\n")
