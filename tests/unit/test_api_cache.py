"""The caches of a process: their bounds, and their invalidation by a change."""

from dataclasses import dataclass

from api.database.cache import Cache, RecentValues


@dataclass
class Value:
    size: int = 100


def test_the_total_size_of_the_cached_values_stays_below_the_bound():
    cache = Cache(1000)
    for number in range(50):
        cache.put(number, 1, Value(90))

    cached = [cache.get(number, 1) for number in range(50)]
    assert sum(each.size for each in cached if each) == 990
    assert all(cached[39:])


def test_the_least_recently_used_value_is_evicted():
    cache = Cache(300)
    for key in "abc":
        cache.put(key, 1, Value())
    cache.get("a", 1)
    cache.put("d", 1, Value())

    assert [key for key in "abcd" if cache.get(key, 1)] == ["a", "c", "d"]


def test_a_value_larger_than_the_bound_is_not_cached_and_evicts_nothing():
    cache = Cache(300)
    cache.put("a", 1, Value())
    cache.put("b", 1, Value(301))

    assert cache.get("a", 1)
    assert cache.get("b", 1) is None


def test_a_change_drops_all_values_and_values_from_before_it_are_not_cached():
    cache = Cache(300)
    cache.put("a", 1, Value())

    assert cache.get("a", 2) is None
    cache.put("b", 2, Value())
    cache.put("c", 1, Value())  # made from the data before the change

    assert cache.get("a", 1) is None
    assert [key for key in "abc" if cache.get(key, 2)] == ["b"]


def test_recent_values_are_bounded_by_their_number():
    recent = RecentValues(2)
    for key in "abc":
        recent.put(key, key)

    assert [recent.get(key) for key in "abc"] == [None, "b", "c"]
