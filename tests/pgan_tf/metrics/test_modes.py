import zipfile

import keras
import numpy as np
import pytest
import scipy.stats
from sklearn.datasets import load_digits

from pgan_tf.metrics import load_digit_classifier, mode_coverage, modes, read_numbers
from pgan_tf.metrics.digit_classifier import train_digit_classifier
from tfrecords_tools.errors import UserError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def digits():
    """1797 handwritten digits of 8x8 pixels: `[n 8 8]` uint8, and `[n]` what they are."""
    images, labels = load_digits(return_X_y=True)
    # In the data's own order each writer has a block. Every writer should be among the first 1400.
    order = np.random.default_rng(0).permutation(len(labels))
    images = np.rint(images[order].reshape(-1, 8, 8) * 255 / 16).astype(np.uint8)
    return images, labels[order]


@pytest.fixture(scope="module")
def classify(digits, tmp_path_factory):
    """A classifier trained on 1400 of them, saved and read back."""
    images, labels = digits
    path = tmp_path_factory.mktemp("classifier") / "digits.keras"
    train_digit_classifier(images[:1400], labels[:1400], epochs=12).save(path)
    return load_digit_classifier(path)


def compose(images, numbers, labels, rng):
    """MNIST-RGB images of given numbers, from digits drawn at random among those of a kind."""
    places = np.stack([numbers // 100, numbers // 10 % 10, numbers % 10], axis=1)
    chosen = np.empty_like(places)
    for digit in range(10):
        of_a_kind = np.flatnonzero(labels == digit)
        chosen[places == digit] = rng.choice(of_a_kind, np.count_nonzero(places == digit))
    return images[chosen].transpose(0, 2, 3, 1)


def test_unseen_digits_are_read(digits, classify):
    images, labels = digits
    assert np.mean(classify(images[1400:]) == labels[1400:]) > 0.97
    assert classify(images[:0]).shape == (0,)


def test_red_is_the_first_digit_and_blue_the_last(digits, classify, rng):
    images, labels = digits
    numbers = rng.integers(0, 1000, 300)
    drawn = compose(images[:1400], numbers, labels[:1400], rng)
    assert np.mean(read_numbers(drawn, classify) == numbers) > 0.9


def test_all_modes_of_unseen_digits_are_hit(digits, classify, rng):
    images, labels = digits
    numbers = np.repeat(np.arange(1000), 5)
    hit, kl = modes(compose(images[1400:], numbers, labels[1400:], rng), classify)
    assert hit >= 995
    assert kl < 0.05


def test_a_generator_of_five_digits_hits_an_eighth(digits, classify, rng):
    images, labels = digits
    # Only digits that are read right, so that the result is exact.
    right = classify(images) == labels
    numbers = np.array([i for i in range(1000) if max(map(int, str(i))) < 5])
    drawn = compose(images[right], np.tile(numbers, 3), labels[right], rng)
    assert modes(drawn, classify) == (125, pytest.approx(np.log(8)))


def test_even_numbers_have_no_divergence():
    assert mode_coverage(np.tile(np.arange(1000), 4)) == (1000, pytest.approx(0, abs=1e-12))


def test_one_number_only_has_the_greatest_divergence():
    assert mode_coverage(np.full(50, 7)) == (1, pytest.approx(np.log(1000)))


def test_half_of_the_modes_evenly_are_a_logarithm_of_two_away():
    assert mode_coverage(np.arange(0, 1000, 2)) == (500, pytest.approx(np.log(2)))


def test_the_divergence_is_scipys(rng):
    numbers = rng.binomial(999, 0.3, 4000)
    frequencies = np.bincount(numbers, minlength=1000) / 4000
    expected = scipy.stats.entropy(frequencies, np.full(1000, 1e-3))
    assert mode_coverage(numbers) == (np.unique(numbers).size, pytest.approx(expected))


def test_evenly_drawn_numbers_diverge_as_documented(rng):
    result = mode_coverage(rng.integers(0, 1000, 25600))
    assert result.hit == 1000
    assert result.kl == pytest.approx(0.0195, abs=0.003)


def test_the_seed_decides_what_is_learned(digits):
    images, labels = digits
    trained, again = (
        train_digit_classifier(images[:64], labels[:64], epochs=1, seed=1) for _ in range(2)
    )
    untrained, other = (
        train_digit_classifier(images[:64], labels[:64], epochs=0, seed=seed) for seed in (1, 2)
    )
    scores, *rest = (np.array(m(images[64:80, ..., None])) for m in (trained, again, untrained))
    np.testing.assert_allclose(scores, rest[0], rtol=1e-4, atol=1e-5)
    assert np.abs(scores - rest[1]).max() > 0.01
    assert np.abs(untrained.get_weights()[0] - other.get_weights()[0]).max() > 0.01


def zeros(images):
    return np.zeros(len(images), int)


@pytest.mark.parametrize(
    ("images", "classify", "message"),
    [
        (np.zeros([2, 8, 8, 1], np.uint8), zeros, r"Received: \[2, 8, 8, 1\] uint8"),
        (np.zeros([2, 8, 8, 3]), zeros, r"Received: \[2, 8, 8, 3\] float64"),
        (np.zeros([0, 8, 8, 3], np.uint8), zeros, "at least one image"),
        (np.zeros([2, 8, 8, 3], np.uint8), lambda x: np.zeros(3, int), r"Received: \[3\] int64"),
        (np.zeros([2, 8, 8, 3], np.uint8), lambda x: np.zeros(2), r"Received: \[2\] float64"),
        (np.zeros([2, 8, 8, 3], np.uint8), lambda x: zeros(x) + 10, "Received: 10 to 10"),
    ],
)
def test_bad_images_and_classifiers_are_refused(images, classify, message):
    with pytest.raises(UserError, match=message):
        modes(images, classify)


def test_digits_of_another_size_are_refused(classify):
    with pytest.raises(UserError, match="digits.keras: reads digits of 8x8 .* Received: 32x32"):
        classify(np.zeros([2, 32, 32], np.uint8))
    with pytest.raises(UserError, match="Received: 12x8"):
        classify(np.zeros([2, 8, 12], np.uint8))


def test_a_file_that_is_no_classifier_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"absent.keras: no such file; expected a classifier"):
        load_digit_classifier(tmp_path / "absent.keras")
    (tmp_path / "text.keras").write_text("text")
    with pytest.raises(UserError, match=r"text.keras: not a .keras file, or damaged"):
        load_digit_classifier(tmp_path / "text.keras")
    with zipfile.ZipFile(tmp_path / "empty.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(UserError, match=r"empty.keras: not a .keras file: there is no model"):
        load_digit_classifier(tmp_path / "empty.keras")
    inputs = keras.Input([8, 8, 3])
    outputs = keras.layers.Dense(10)(keras.layers.Flatten()(inputs))
    keras.Model(inputs, outputs).save(tmp_path / "rgb.keras")
    with pytest.raises(UserError, match=r"Received: \[n, 8, 8, 3\] to \[n, 10\]"):
        load_digit_classifier(tmp_path / "rgb.keras")


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros([5, 8, 8]), np.zeros(5, int), r"Received: \[5, 8, 8\] float64"),
        (np.zeros([5, 3, 3], np.uint8), np.zeros(5, int), r"Received: \[5, 3, 3\] uint8"),
        (np.zeros([5, 8, 8], np.uint8), np.zeros(4, int), r"Received: \[4\] int64"),
        (np.zeros([5, 8, 8], np.uint8), np.eye(5), r"Received: \[5, 5\] float64"),
        (np.zeros([5, 8, 8], np.uint8), np.full(5, 10), "from 0 to 9"),
        (np.zeros([0, 8, 8], np.uint8), np.zeros(0, int), "at least one"),
    ],
)
def test_bad_training_digits_are_refused(images, labels, message):
    with pytest.raises(UserError, match=message):
        train_digit_classifier(images, labels)
