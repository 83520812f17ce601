"""A minute of `python -m tests.faults.soak`, which runs for as long as it is told."""

import pytest

from shared.embedded.server import RunningServer
from tests.faults.soak import KILLS_IN_A_ROUND, Soak


@pytest.mark.slow
def test_workers_killed_for_a_minute_leave_what_unbroken_runs_leave(
    server: RunningServer, tmp_path_factory: pytest.TempPathFactory
):
    soak = Soak(server.url, tmp_path_factory.mktemp("soak"), seed=1)

    soak.run(seconds=60)

    assert soak.hits >= soak.rounds * KILLS_IN_A_ROUND > 0
    assert soak.midway
