"""Prometheus' own parsers, of both text formats."""

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.mark.parametrize(
    ("accept", "parse"),
    [
        (None, text_string_to_metric_families),
        (OPENMETRICS, openmetrics.text_string_to_metric_families),
    ],
)
def test_one_scrape_tells_how_requests_and_sources_do(market, accept, parse):
    market.get("/data")
    answer = market.get("/metrics", headers={"Accept": accept} if accept else {})

    samples = [sample for family in parse(answer.text) for sample in family.samples]
    assert {s.labels["source"] for s in samples if s.name == "kasparro_source_lag_seconds"} == {
        "csv",
        "coingecko",
        "coinpaprika",
    }
    routes = {s.labels["route"] for s in samples if "route" in s.labels}
    assert "/data" in routes
