"""What a process keeps: within its bound, and for one state of the data."""

from dataclasses import dataclass

from api.database.cache import Cache, Recent


@dataclass
class Kept:
    size: int = 100


def test_the_sizes_of_what_is_kept_stay_below_the_bound():
    cache = Cache(1000)
    for number in range(50):
        cache.keep(number, 1, Kept(90))

    kept = [cache.get(number, 1) for number in range(50)]
    assert sum(each.size for each in kept if each) == 990
    assert all(kept[39:])


def test_what_was_asked_for_last_stays():
    cache = Cache(300)
    for key in "abc":
        cache.keep(key, 1, Kept())
    cache.get("a", 1)
    cache.keep("d", 1, Kept())

    assert [key for key in "abcd" if cache.get(key, 1)] == ["a", "c", "d"]


def test_what_is_larger_than_the_bound_is_not_kept_and_drops_nothing():
    cache = Cache(300)
    cache.keep("a", 1, Kept())
    cache.keep("b", 1, Kept(301))

    assert cache.get("a", 1)
    assert cache.get("b", 1) is None


def test_a_change_drops_everything_and_what_comes_late_is_not_kept():
    cache = Cache(300)
    cache.keep("a", 1, Kept())

    assert cache.get("a", 2) is None
    cache.keep("b", 2, Kept())
    cache.keep("c", 1, Kept())  # made from the data before the change

    assert cache.get("a", 1) is None
    assert [key for key in "abc" if cache.get(key, 2)] == ["b"]


def test_only_so_many_answers_to_a_question_are_remembered():
    recent = Recent(2)
    for key in "abc":
        recent.keep(key, key)

    assert [recent.get(key) for key in "abc"] == [None, "b", "c"]
