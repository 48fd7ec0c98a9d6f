import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pgan_tf.data.order import records_at


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 200), st.integers(0, 2**31 - 1), st.integers(1, 50))
def test_every_epoch_shows_every_image_once_whatever_the_batches(count, seed, batch):
    positions = np.arange(3 * count)
    records = np.concatenate(
        [
            records_at(positions[i : i + batch], count=count, seed=seed)
            for i in range(0, len(positions), batch)
        ]
    )
    for epoch in range(3):
        assert sorted(records[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_each_epoch_and_seed_has_another_order():
    first, second = (records_at(np.arange(100) + e * 100, count=100, seed=1) for e in (0, 1))
    other = records_at(np.arange(100), count=100, seed=2)
    assert (first != second).any()
    assert (first != other).any()
