import json

import numpy as np
import pytest
from PIL import Image

from pgan_tf.cli import generate as command
from pgan_tf.generating.captions import captioned_grid
from pgan_tf.generating.directions import find_directions, move_latents
from pgan_tf.generating.moves import parse_moves
from pgan_tf.generating.sampler import Sampler
from pgan_tf.runs.grids import draw_latents, to_uint8
from tests.helpers.generators import LATENT_SIZE, save_tiny_generator
from tfrecords_tools.errors import UserError


def test_moves_are_directions_and_amounts():
    assert parse_moves([]) == []
    assert parse_moves(["1:3, 4:-2.5", "1:+1e1"]) == [(1, 3.0), (4, -2.5), (1, 10.0)]


@pytest.mark.parametrize(
    "text", ["", "1", "1:", ":3", "1:2:3", "-1:3", "1:3,", "a:3", "1:x", "1:nan"]
)
def test_a_move_that_is_none_is_refused(text):
    with pytest.raises(UserError, match="--move must be direction:amount"):
        parse_moves([text])


@pytest.mark.parametrize("amount", ["1e3000", "-1001", "inf"])
def test_an_amount_without_bounds_is_refused(amount):
    with pytest.raises(UserError, match="--move: an amount must be from -1000 to 1000"):
        parse_moves([f"1:{amount}"])


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "g.keras"
    return path, save_tiny_generator(path)


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "g.keras"
    return path, save_tiny_generator(path, label_size=2, description={"label_names": ["a", "b"]})


def draw(sampler, latents):
    return np.stack(list(sampler.draw(latents, None))).astype(int)


def test_a_sampler_moves_all_latents(network):
    path, model = network
    latents = draw_latents(3, LATENT_SIZE, seed=1)
    moved = draw(Sampler(path, moves=[(2, 1.5), (1, -2.0), (2, 0.5)]), latents)
    directions = find_directions(model, 2)
    expected = to_uint8(model(move_latents(latents, 2.0 * directions[1] - 2.0 * directions[0])))
    assert np.abs(moved - expected).max() <= 1
    assert np.abs(moved - draw(Sampler(path), latents)).max() > 5


@pytest.mark.parametrize("number", [0, LATENT_SIZE + 1])
def test_a_direction_that_the_network_lacks_is_refused(network, number):
    with pytest.raises(UserError, match=f"has the directions 1 to 8. Received: {number}"):
        Sampler(network[0], moves=[(number, 1.0)])


def test_a_sheet_goes_from_minus_to_plus(conditional, tmp_path, capsys):
    path, model = conditional
    arguments = ["--directions=2", "--num_images=2", "--seed=5", "--amount=3"]
    assert command.main([f"--network={path}", f"--output={tmp_path}", *arguments]) == 0
    assert "directions.png, directions.npy" in capsys.readouterr().out
    directions = find_directions(model, 2)
    latents = draw_latents(2, LATENT_SIZE, seed=5)
    images, captions = [], []
    for number, direction in enumerate(directions):
        for row in range(2):
            for amount in (-3, -2, -1, 0, 1, 2, 3):
                label = np.eye(2, dtype=np.float32)[[row]]
                images.append(model([move_latents(latents[[row]], amount * direction), label])[0])
                middle = f"seed 5:{row}, {'ab'[row]}"
                captions.append(f"{number + 1}: {amount:+d}" if amount else middle)
    expected = captioned_grid(to_uint8(np.stack(images)), captions, 7)
    drawn = np.asarray(Image.open(tmp_path / "directions.png"))
    assert np.abs(drawn.astype(int) - expected).max() <= 1
    np.testing.assert_array_equal(np.load(tmp_path / "directions.npy"), directions)
    described = json.loads((tmp_path / "directions.json").read_text())
    np.testing.assert_allclose(described["directions"], directions, atol=1e-7)
    assert described["latent_size"] == LATENT_SIZE
    assert described["effects"][0] > described["effects"][1] > 1.0


def test_more_directions_than_a_sheet_holds_are_still_written(network, tmp_path, capsys):
    arguments = ["--directions=8", "--num_images=100"]
    assert command.main([f"--network={network[0]}", f"--output={tmp_path}", *arguments]) == 0
    assert "directions.png (the first 1)" in capsys.readouterr().out
    assert np.load(tmp_path / "directions.npy").shape == (8, LATENT_SIZE)
    assert Image.open(tmp_path / "directions.png").height == 100 * (96 + 15)


@pytest.mark.parametrize("product", [["--num_images=2"], ["--arithmetic=1-2"], ["--directions=1"]])
def test_every_product_can_be_moved(network, tmp_path, product):
    pictures = []
    for number, moves in enumerate(([], ["--move=1:3", "--move=2:-2"], ["--move=1:3,2:-2"])):
        output = tmp_path / str(number)
        arguments = [f"--network={network[0]}", f"--output={output}", *product, *moves]
        assert command.main(arguments) == 0
        first = sorted(output.glob("*.png"))[0]
        pictures.append(np.asarray(Image.open(first)).astype(int))
    assert np.abs(pictures[1] - pictures[0]).max() > 5
    np.testing.assert_array_equal(pictures[1], pictures[2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--directions=9"], "--directions must be from 1 to 8"),
        (["--directions=0"], "directions"),
        (["--directions=1", "--num_images=147"], "--num_images must be at most 146 with --direct"),
        (["--directions=2", "--table"], "--table and --directions need a call"),
        (["--directions=2", "--grid"], "--grid goes with images"),
        (["--directions=2", "--amount=1e9"], "amount"),
        (["--amount=3"], "--amount goes with --directions. Received: images"),
        (["--move=9:3"], "--move: the network has the directions 1 to 8"),
        (["--move=1=3"], "--move must be direction:amount"),
        (["--move=1:3", "--video=training"], "--move goes with images or --table"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(network, tmp_path, capsys, arguments, message):
    output = tmp_path / "out"
    assert command.main([f"--network={network[0]}", f"--output={output}", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not output.exists()
