"""What the tests of a failing database share: what an undisturbed run leaves."""

import pytest

from shared.environment import SAMPLE_CSV
from tests.fakes.database_faults import OF_LISTINGS, SIZE
from tests.fakes.databases import database_copy, report_of_an_unbroken_run
from worker.maintenance.verify import Report


@pytest.fixture(scope="session")
def unbroken(server, maintenance_engine, template_database, tmp_path_factory) -> Report:
    """What a database holds after one run of every source of listings that nothing disturbed."""
    folder = tmp_path_factory.mktemp("unbroken")
    with database_copy(maintenance_engine, server.url, template_database) as url:
        chosen = {"SOURCES": OF_LISTINGS, "CSV_PATH": SAMPLE_CSV}
        return report_of_an_unbroken_run(url, SIZE, folder, **chosen)
