"""Samples of `/metrics`, by name and labels."""

from prometheus_client.parser import text_string_to_metric_families as parse_text


def scrape(client):
    """Return every sample by its name and labels."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    samples = [sample for family in parse_text(answer.text) for sample in family.samples]
    found = {(sample.name, *sorted(sample.labels.items())): sample.value for sample in samples}
    assert len(found) == len(samples), "a series is there twice"
    return found


def of(found, name, **labels):
    return found.get((name, *sorted(labels.items())))
