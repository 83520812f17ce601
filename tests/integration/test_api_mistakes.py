"""What `/health` and `/metrics` say while a provider has most of its ids or prices wrong."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine

from tests.fakes.glitches import IDS, PRICES, GlitchyMarket, Scene
from tests.fakes.market import NOON
from tests.fakes.upstream import Upstream

ALERTS = Path(__file__).resolve().parents[2] / "api" / "monitoring" / "alerts.yml"


def health_of_coingecko(client: FlaskClient) -> dict[str, str]:
    health = client.get("/health")
    assert health.status_code == 200
    sources = health.json["data"]["sources"]
    return next(each for each in sources if each["source"] == "coingecko")


def troubles(client: FlaskClient) -> list[dict[str, str]]:
    """Read the labels of the series that say why a source is not well."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = (sample for family in families for sample in family.samples)
    return [s.labels for s in samples if s.name == "kasparro_source_trouble" and s.value == 1]


def alerts_on(labels: dict[str, str]) -> list[str]:
    """Name the alert rules whose expression selects a series of these labels."""
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    found = []
    for rule in (rule for group in groups for rule in group["rules"]):
        for selector in re.findall(r"kasparro_source_trouble\{(.*?)\}", rule["expr"]):
            wanted = re.findall(r'(\w+)(=~|!=)"(.*?)"', selector)
            assert {name for name, _, _ in wanted} <= labels.keys()
            if all(
                bool(re.fullmatch(value, labels[name])) == (how == "=~")
                for name, how, value in wanted
            ):
                found.append(rule["alert"])
    return found  # fmt: skip


@pytest.mark.parametrize(("wrong", "reason"), [(PRICES, "prices_shifted"), (IDS, "ids_changed")])
def test_a_mistake_of_a_provider_is_a_warning_until_its_next_good_pass(
    engine: Engine, client: FlaskClient, wrong: str, reason: str
):
    with Upstream() as upstream:
        upstream.market = market = GlitchyMarket(40)
        scene = Scene(engine, upstream, market)
        scene.good_pass((datetime.now(UTC) - NOON).total_seconds() - 1)

        assert scene.wrong_pass("coingecko", wrong, 0.5) == reason

        told = health_of_coingecko(client)
        assert (told["status"], told["reason"]) == ("warn", reason)
        [labels] = [each for each in troubles(client) if each["source"] == "coingecko"]
        assert labels == {"source": "coingecko", "reason": reason}
        assert "KasparroSourceMistaken" in alerts_on(labels)

        scene.good_pass(0.25)

        assert health_of_coingecko(client)["status"] == "pass"
        assert not [each for each in troubles(client) if each["source"] == "coingecko"]
