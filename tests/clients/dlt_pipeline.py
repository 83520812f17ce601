"""Loads every asset into DuckDB with dlt's REST API source: URL, folder, kind of paging."""

import sys
from pathlib import Path

import dlt
from dlt.common.runtime import run_context
from dlt.sources.rest_api import rest_api_source

PAGINATORS = {
    "header": {"type": "header_link"},
    "cursor": {
        "type": "cursor",
        "cursor_path": "meta.next_cursor",
        "cursor_param": "cursor",
    },
}


def load(url: str, folder: Path, paging: str) -> None:
    run_context.global_dir = lambda: str(folder)
    source = rest_api_source(
        {
            "client": {"base_url": url, "paginator": PAGINATORS[paging]},
            "resource_defaults": {"primary_key": "slug", "write_disposition": "replace"},
            "resources": [
                {
                    "name": "assets",
                    "endpoint": {
                        "path": "data",
                        "params": {"page_size": 20, "decimals": "string"},
                        "data_selector": "data",
                    },
                }
            ],
        }
    )
    pipeline = dlt.pipeline(
        pipeline_name="kasparro",
        pipelines_dir=str(folder / "pipelines"),
        destination=dlt.destinations.duckdb(str(folder / "loaded.duckdb")),
        dataset_name="market",
    )
    pipeline.run(source).raise_on_failed_jobs()


if __name__ == "__main__":
    load(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
