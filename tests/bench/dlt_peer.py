"""The peer: dlt merges the same records into the same server (upsert by id and time).

    python -m tests.bench.dlt_peer URL PLAN FOLDER

It runs in an environment of its own, and keeps its files in the folder. A pass is one run of its
pipeline. It flattens each record into a table's columns, which is what it is for, and keeps no
payload.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import dlt
from dlt.common.runtime import run_context

from tests.bench.clock import Clock
from tests.bench.plans import Pass, read_plan

KEY = ("id", "last_updated")
UPSERT = {"disposition": "merge", "strategy": "upsert"}


def main(url: str, plan: Path, folder: Path) -> None:
    run_context.global_dir = lambda: str(folder)  # or it leaves a file in /var/dlt, as root
    # It insists on a password and a host; this server asks for neither.
    credentials = url.replace("@/", ":unused@localhost/")
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(folder),
        destination=dlt.destinations.postgres(credentials=credentials),
        dataset_name="dlt_bench",
    )
    clock, new = Clock(url), 0
    for each in read_plan(plan):
        with clock:
            pipeline.run(resources(each), loader_file_format="csv")  # its fastest way into Postgres
        new += each.new
        if (found := count(pipeline, each)) != new:
            raise SystemExit(f"dlt: {each.name}: {found} rows, not {new}")
        clock.report(each.name, each.records)


def resources(each: Pass) -> list[object]:
    """Make a resource of each source's snapshots."""
    files: dict[str, list[str]] = {}
    for source, file in each.snapshots:
        files.setdefault(source, []).append(file)
    return [
        dlt.resource(pages, name=source, primary_key=KEY, write_disposition=UPSERT)(found)
        for source, found in files.items()
    ]


def pages(files: Sequence[str]) -> Iterator[list[object]]:
    for file in files:
        yield json.loads(Path(file).read_bytes())


def count(pipeline: dlt.Pipeline, each: Pass) -> int:
    """Count the rows of all sources."""
    total = 0
    with pipeline.sql_client() as client:
        for source in {source for source, _ in each.snapshots}:
            [(rows,)] = client.execute_sql(f"SELECT count(*) FROM {source}") or [(0,)]
            total += rows
    return total


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
