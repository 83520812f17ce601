"""What tells two answers apart in an `ETag`: each of its parts by itself."""

import pytest

from api.responses.cached import Answer

PARTS = {"data": b"[]", "meta": b'"count":0', "media": "application/json"}


def tag(**other):
    return Answer(**{**PARTS, **other}, rows=0, changed_at=None).tag


@pytest.mark.parametrize(
    "other",
    [{"data": b"[1]"}, {"meta": b'"count":1'}, {"media": "text/csv; charset=utf-8"}],
    ids=lambda other: next(iter(other)),
)
def test_an_answer_has_another_tag_where_one_part_is_another(other):
    assert tag(**other) != tag()


def test_a_part_that_moves_into_its_neighbour_makes_another_tag():
    assert tag(data=b"[]1", meta=b"2") != tag(data=b"[]", meta=b"12")


def test_what_tells_nobody_that_the_answer_is_another_is_not_in_the_tag():
    assert tag(varies=b'"version":2', headers=(("X-Data-Version", "2"),)) == tag()
