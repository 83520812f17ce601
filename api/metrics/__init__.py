"""The Prometheus metrics of `/metrics`.

Metrics are defined in these places:

- `api/request/process_metrics.py`: requests, and their use of the database
- `api/metrics/operations.py`: the data and the worker's runs, read from the database
- `api/metrics/processes.py`: the API's processes
- `api/metrics/registry.py`: the release, `kasparro_build`
- `worker/ingest/metrics.py`: the worker's own, which it serves itself (`METRICS_PORT`)

`api/metrics/multiprocess.py` adds up the counts of all processes.
"""
