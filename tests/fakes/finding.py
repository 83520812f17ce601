"""Assets found by walking through all pages of `/data`."""

from tests.fakes.reference import follow, slugs


def find(client, **query):
    """Walk through all pages, and see that each says how many assets there are."""
    pages = follow(client, **query)
    found = slugs(pages)
    assert {page["meta"]["total"] for page in pages} == {len(found)}
    return found
