"""The `ETag` of a representation depends on each of its parts."""

import pytest

from api.responses.cached import Representation

PARTS = {"data": b"[]", "meta": b'"count":0', "media": "application/json"}


def tag(**other):
    return Representation(**{**PARTS, **other}, rows=0, changed_at=None).tag


@pytest.mark.parametrize(
    "other",
    [{"data": b"[1]"}, {"meta": b'"count":1'}, {"media": "text/csv; charset=utf-8"}],
    ids=lambda other: next(iter(other)),
)
def test_the_tag_changes_with_each_part(other):
    assert tag(**other) != tag()


def test_bytes_that_move_from_one_part_to_the_next_change_the_tag():
    assert tag(data=b"[]1", meta=b"2") != tag(data=b"[]", meta=b"12")


def test_members_that_vary_and_headers_do_not_change_the_tag():
    assert tag(meta_outside_etag=b'"version":2', headers=(("X-Data-Version", "2"),)) == tag()
