"""Lists, and the checks of splits and folds that every source makes."""

from __future__ import annotations

import pickle

import pytest

from hmseg.data.coco2pascal import Coco2PascalSource
from hmseg.data.source import Listing, Source, check_fold, check_no_fold, check_split, class_names_of
from hmseg.errors import DataError


def test_by_class_keeps_the_order_of_the_list() -> None:
    listing = Listing((("b", 1), ("a", 0), ("a", 1)))
    assert dict(listing.by_class) == {0: ("a",), 1: ("b", "a")}
    assert listing.images == ("b", "a")


def test_numbered_images_are_drawn_by_number_and_listed_by_name() -> None:
    pairs = tuple((f"ant/{number}", 3) for number in (1, 10, 2, 9))
    listing = Listing(pairs, numbered=True)
    assert listing.by_class[3] == ("ant/1", "ant/2", "ant/9", "ant/10")
    assert listing.pairs == pairs and Listing(pairs).by_class[3][1] == "ant/10"


def test_epochs() -> None:
    pairs = (("a", 0), ("a", 1), ("b", 1))
    assert Listing(pairs).epoch == 3 and Listing(pairs, draw="class").epoch == 2


def test_a_copy_of_a_list_carries_nothing_but_the_list() -> None:
    listing = Listing((("a", 0), ("b", 0)), draw="class", test_episodes=7, numbered=True)
    plain = len(pickle.dumps(listing))
    assert listing.by_class and listing.images
    copied = pickle.loads(pickle.dumps(listing))
    assert copied == listing and copied.by_class == listing.by_class
    assert len(pickle.dumps(listing)) == plain


def test_folds() -> None:
    assert check_fold("x", 4, 0) == 0
    with pytest.raises(DataError, match="fold 4 does not exist: x has folds 0 to 3"):
        check_fold("x", 4, 4)
    with pytest.raises(DataError, match="fold=null came, x has folds 0 to 3: give one of them"):
        check_fold("x", 4, None)
    check_no_fold("y", None)
    with pytest.raises(DataError, match="fold=0 came, y has no folds: give fold=null"):
        check_no_fold("y", 0)
    with pytest.raises(DataError, match="unknown split of z 'tset': did you mean 'test'"):
        check_split("tset", "z")


def test_class_names_of_the_test(fake_source: Source) -> None:
    assert (
        class_names_of(fake_source, "test") == class_names_of(fake_source, "val") == fake_source.class_names
    )
    assert Coco2PascalSource.test_class_names[14] == "person"
