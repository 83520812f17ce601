import pytest

from shared.model.slugs import LONGEST_SLUG, slugify
from worker.identity.resolver.labels.names import LONGEST_KEY, normalise


@pytest.mark.parametrize(
    ("label", "normal"),
    [
        ("  Bitcoin\u00a0 Cash ", "bitcoin cash"),
        ("\uff22\uff34\uff23", "btc"),
        ("Straße", "strasse"),
        ("", ""),
    ],
)
def test_labels_are_compared_without_case_width_and_white_space(label, normal):
    assert normalise(label) == normal


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Bitcoin", "bitcoin"),
        ("Lido Staked Ether (Wormhole)", "lido-staked-ether-wormhole"),
        ("Ñandú", "nandu"),
        ("比特币", "ext-1"),
        ("~~~", "ext-1"),
    ],
)
def test_a_slug_is_made_of_the_name_where_it_can_be(name, slug):
    assert slugify(name, "Ext 1") == slug


def test_a_label_that_normalising_blows_up_still_fits_an_index():
    assert len(normalise("\ufdfa" * 300)) == LONGEST_KEY
    assert len(slugify("\u33c2" * 300, "x")) <= LONGEST_SLUG


def test_a_name_and_an_id_without_a_letter_still_give_a_slug():
    assert slugify("!", "?") == "asset"
