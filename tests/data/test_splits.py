"""Which images are held out, and which are trained on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.data.dataset import Labels
from study.data.splits import SplitIndices, stratified_split
from study.errors import UserError


def _labels(sizes: list[int], seed: int = 0) -> Labels:
    labels = np.repeat(np.arange(len(sizes)), sizes).astype(np.int64)
    return np.random.default_rng(seed).permutation(labels)


def _split(labels: Labels, validation: float, fraction: float = 1.0, seed: int = 0) -> SplitIndices:
    classes = [str(label) for label in range(int(labels.max()) + 1)]
    return stratified_split(labels, classes, validation, fraction, np.random.default_rng(seed))


def _per_class(labels: Labels, indices: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> list[int]:
    return [int((labels[indices] == label).sum()) for label in range(int(labels.max()) + 1)]


@given(
    sizes=st.lists(st.integers(2, 40), min_size=2, max_size=8),
    share=st.floats(0.01, 0.5),
    fraction=st.floats(0.01, 1),
    seed=st.integers(0, 2**31 - 1),
)
def test_a_split_is_disjoint_stratified_and_repeats_itself(
    sizes: list[int], share: float, fraction: float, seed: int
) -> None:
    labels = _labels(sizes)
    split = _split(labels, share, fraction, seed)
    again = _split(labels, share, fraction, seed)

    assert np.array_equal(split.train, again.train)
    assert np.array_equal(split.validation, again.validation)
    together = np.concatenate([split.train, split.validation])
    assert len(set(together.tolist())) == len(together)
    wanted = max(1, round(share * len(labels)))
    held_out, kept = _per_class(labels, split.validation), _per_class(labels, split.train)
    for size, held, keep in zip(sizes, held_out, kept, strict=True):
        assert held >= 1
        assert abs(held - wanted * size / len(labels)) < 2
        assert 1 <= keep <= size - held
        assert keep >= fraction * (size - held) - 1
    if fraction == 1:
        assert len(together) == len(labels)


@given(sizes=st.lists(st.integers(2, 30), min_size=2, max_size=6), data=st.data())
def test_a_possible_count_is_held_out_exactly(sizes: list[int], data: st.DataObject) -> None:
    labels = _labels(sizes)
    count = data.draw(st.integers(1, len(labels) - len(sizes)).filter(lambda n: n % len(sizes) != 0))
    split = _split(labels, count)
    assert len(split.validation) == count
    assert len(split.train) == len(labels) - count
    assert min(_per_class(labels, split.validation)) >= (count >= len(sizes))
    assert min(_per_class(labels, split.train)) >= 1


def test_divisible_count_takes_equally_of_each_class() -> None:
    """A count that divides by the number of classes takes the same number of each."""
    labels = _labels([50, 70, 90, 60])
    assert _per_class(labels, _split(labels, 40).validation) == [10, 10, 10, 10]


def test_share_is_always_taken_in_proportion() -> None:
    """A share is taken in proportion to the classes even if it divides by their number."""
    labels = _labels([20, 60])
    assert _per_class(labels, _split(labels, 0.25).validation) == [5, 15]


def test_the_rest_goes_to_the_largest_remainders() -> None:
    labels = _labels([10, 26, 64])  # 7 of 100: 0.7, 1.82 and 4.48
    assert _per_class(labels, _split(labels, 7).validation) == [1, 2, 4]


def test_a_small_share_never_empties_a_class_of_one_image() -> None:
    labels = _labels([1, 4, 4])
    assert _per_class(labels, _split(labels, 0.1).train)[0] == 1


def test_every_class_of_two_images_has_a_validation_image() -> None:
    assert _per_class(_labels([303, 3]), _split(_labels([303, 3]), 0.1).validation) == [31, 1]
    labels = _labels([3] * 1000)
    assert _per_class(labels, _split(labels, 0.1).validation) == [1] * 1000
    assert _per_class(_labels([1, 40]), _split(_labels([1, 40]), 0.1).validation) == [0, 4]


def test_a_count_stays_and_large_classes_give_less() -> None:
    labels = _labels([90, 3, 3])
    assert _per_class(labels, _split(labels, 10).validation) == [8, 1, 1]
    assert sum(_per_class(labels, _split(labels, 2).validation)) == 2  # fewer than classes


def test_another_seed_holds_out_other_images() -> None:
    labels = _labels([100, 100])
    assert not np.array_equal(_split(labels, 20, seed=0).validation, _split(labels, 20, seed=1).validation)


def test_fraction_keeps_validation_and_is_nested() -> None:
    """A fraction changes no validation image and lies within every larger fraction."""
    labels = _labels([40, 60, 80])
    whole, half, tenth = (_split(labels, 30, fraction) for fraction in (1.0, 0.5, 0.1))
    assert np.array_equal(whole.validation, tenth.validation)
    assert set(tenth.train.tolist()) < set(half.train.tolist()) < set(whole.train.tolist())
    assert _per_class(labels, half.train) == [15, 25, 35]
    assert _per_class(labels, tenth.train) == [3, 5, 7]


def test_a_fraction_leaves_every_class_an_image() -> None:
    labels = _labels([300, 3])
    assert _per_class(labels, _split(labels, 2, fraction=0.01).train) == [3, 1]


def test_a_class_without_training_images_is_named() -> None:
    with pytest.raises(UserError, match=r"takes 10 of the 10 training images of class '1'"):
        _split(_labels([50, 10]), 20)


def test_validation_of_everything_is_refused() -> None:
    with pytest.raises(UserError, match=r"59 of 60 training images leave less than one for each of the 2 classes"):
        _split(_labels([50, 10]), 59)


def test_a_class_without_images_is_named() -> None:
    with pytest.raises(UserError, match="class '1' has no training images"):
        _split(_labels([5, 0, 5]), 2)
