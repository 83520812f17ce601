"""The peer: dlt merges the same records into the same server (upsert by id and time).

    python -m tests.bench.dlt_peer URL FOLDER FILE...

It runs in an environment of its own, and keeps its files in the folder. It flattens each record
into a table's columns, which is what it is for, and keeps no payload.
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import dlt
from dlt.common.runtime import run_context

from tests.bench.measure import report


def main(url: str, folder: Path, files: Sequence[Path]) -> None:
    run_context.global_dir = lambda: str(folder)  # or it leaves a file in /var/dlt, as root
    records = 0

    @dlt.resource(
        name="markets",
        primary_key=("id", "last_updated"),
        write_disposition={"disposition": "merge", "strategy": "upsert"},
    )
    def markets() -> Iterator[list[object]]:
        nonlocal records
        for file in files:
            page = json.loads(file.read_bytes())
            records += len(page)
            yield page

    # It insists on a password and a host; this server asks for neither.
    credentials = url.replace("@/", ":unused@localhost/")
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(folder),
        destination=dlt.destinations.postgres(credentials=credentials),
        dataset_name="dlt_bench",
    )
    started = time.perf_counter()
    pipeline.run(markets(), loader_file_format="csv")  # its fastest way into Postgres
    report(records, time.perf_counter() - started)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
