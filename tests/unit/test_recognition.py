"""Which files of the program are part of the digest of each record."""

import inspect
from pathlib import Path

from worker.ingest.checking.recognition import RECOGNISED, readers
from worker.sources import REGISTRY


def test_every_module_that_reads_records_is_part_of_their_digests():
    reading = {
        Path(inspect.getfile(kind))
        for name in RECOGNISED
        for part in (REGISTRY[name], *(type(f) for f in REGISTRY[name].schema.fields.values()))
        for kind in part.__mro__
        if kind.__module__.startswith("worker.")
    }

    assert len(reading) > 3
    assert reading <= set(readers())
