"""The dashboard, the alert rules and the example of a configuration: of metrics that exist."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert

from api.request.access import note_cache
from shared.schema.raw import RAW
from shared.settings import Settings
from tests.fakes.api import NOON, add_checkpoint, add_run, api_on
from worker.ingest.batch.contents import Counts
from worker.ingest.judging.ending import Ending
from worker.ingest.metrics import Metrics

MONITORING = Path(__file__).resolve().parents[2] / "api" / "monitoring"
NAME = re.compile(r"\b(?:kasparro|process)_[a-z0-9_]+")


NOT_DRAWN = {
    "kasparro_source_last_failure_timestamp_seconds",
    "kasparro_source_last_run_records",
    "kasparro_source_last_run_timestamp_seconds",
    "kasparro_source_newest_observation_timestamp_seconds",
    "kasparro_source_run_in_progress",
}
"""For questions by hand: what the dashboard draws instead is the lag, and the sums over runs."""


def read(name):
    return (MONITORING / name).read_text()


def panels():
    return [panel for panel in json.loads(read("grafana.json"))["panels"] if panel["type"] != "row"]


def rules():
    return [
        rule for group in yaml.safe_load(read("alerts.yml"))["groups"] for rule in group["rules"]
    ]


def expressions():
    yield from (target["expr"] for panel in panels() for target in panel["targets"])
    yield from (rule["expr"] for rule in rules())
    variables = json.loads(read("grafana.json"))["templating"]["list"]
    yield from (each["definition"] for each in variables if each["type"] == "query")


@pytest.fixture
def scraped(engine, reader_url):
    """Every series that the API and the worker show, by name: the sets of its labels' names."""
    with engine.begin() as conn:
        add_run(conn)
        raw = {"observed_at": NOON, "run_id": 1, "external_id": "x", "payload_hash": b"x"}
        conn.execute(insert(RAW["coingecko"]).values(**raw, payload={}))
        failed = add_run(conn, outcome="failed", reason="unreachable")
        add_checkpoint(conn, failed, last_failure_at=NOON)
    worker = Metrics()
    with worker.running("csv"):
        worker.record_batch("csv", Counts(1, 1, 0, 0), 0.1)
    worker.record_end("csv", Ending("succeeded"))
    worker.record_request("coingecko", 429)
    worker.record_retries("coingecko", SimpleNamespace(retries=1, waited=1))
    worker.record_pass()
    with api_on(reader_url) as client:
        client.application.add_url_rule("/cached", view_func=cached)
        client.get("/cached")
        shown = client.get("/metrics").text + generate_latest(worker.registry).decode()
    return {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(shown)
        for sample in family.samples
    }


def cached():
    note_cache(hit=True)
    return "x"


def test_every_metric_that_they_name_is_scraped_with_the_labels_that_they_use(scraped):
    named = {name for expression in expressions() for name in NAME.findall(expression)}

    assert named <= set(scraped)
    assert len(named) > 30
    for expression in expressions():
        for name, selector in re.findall(r"(\w+)\{(.*?)\}", expression):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector)) - {"job", "instance"}
            assert labels <= scraped.get(name, labels), expression


def test_every_metric_of_the_loading_is_shown_or_watched(scraped):
    """A metric that nobody looks at is a cost without a use."""
    named = {name for expression in expressions() for name in NAME.findall(expression)}
    of_sources = {name for name in scraped if name.startswith("kasparro_source_")}

    assert of_sources - named <= NOT_DRAWN


def test_the_guide_lists_every_metric_with_its_labels(scraped):
    listed = re.findall(r"^\| `(kasparro_\w+)` \|(.*?)\|", read("README.md"), re.MULTILINE)
    shown = {}
    for name, labels in scraped.items():
        if name.startswith("kasparro_"):
            family = re.sub("_(bucket|count|sum)$", "", name)
            shown[family] = shown.get(family, set()) | labels - {"le"}

    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in listed}
    assert len(documented) == len(listed)
    assert documented == shown


def test_the_rules_say_what_to_do():
    for rule in rules():
        assert rule["labels"]["severity"] in {"page", "ticket"}, rule
        assert set(rule["annotations"]) == {"summary", "description"}, rule
        assert rule["for"], rule
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))


def test_the_dashboard_can_be_imported_anywhere():
    dashboard = json.loads(read("grafana.json"))
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in panels():
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        assert panel["title"], panel
        assert panel["description"], panel
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
    places = [tuple(panel["gridPos"].values()) for panel in dashboard["panels"]]
    for x, y, w, h in places:
        assert 0 <= x < x + w <= 24
        overlapping = [
            other
            for other in places
            if other[0] < x + w
            and x < other[0] + other[2]
            and other[1] < y + h
            and y < other[1] + other[3]
        ]
        assert overlapping == [(x, y, w, h)]


def test_the_example_names_the_rules_and_the_worker_by_its_usual_port():
    example = yaml.safe_load(read("prometheus.yml"))
    assert example["rule_files"] == ["alerts.yml"]
    jobs = {job["job_name"]: job["static_configs"][0] for job in example["scrape_configs"]}
    port = Settings.from_env({}).api_port
    assert jobs["kasparro-api"] == {"targets": [f"127.0.0.1:{port}"]}
    assert {f'job="{name}"' for name in jobs} == set(re.findall(r'job="[^"]+"', read("alerts.yml")))


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
@pytest.mark.parametrize("check", [["rules", "alerts.yml"], ["config", "prometheus.yml"]])
def test_prometheus_takes_them(check):
    subprocess.run(["promtool", "check", *check], cwd=MONITORING, check=True)
