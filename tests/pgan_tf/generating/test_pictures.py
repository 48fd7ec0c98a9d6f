import numpy as np
import pytest
from PIL import Image

from pgan_tf.cli import generate as command
from pgan_tf.cli import products
from pgan_tf.generating.captions import captioned_grid
from pgan_tf.generating.latents import evaluate_arithmetic, looping_walks
from pgan_tf.generating.pictures import (
    generate_arithmetic,
    generate_interpolation,
    generate_pngs,
    generate_table,
)
from pgan_tf.generating.sampler import Sampler
from pgan_tf.runs.grids import draw_latents, make_grid, to_uint8
from tests.helpers.generators import LATENT_SIZE, save_tiny_generator
from tfrecords_tools.errors import UserError

pytestmark = pytest.mark.slow


@pytest.fixture
def network(tmp_path):
    return tmp_path / "g.keras"


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def latents_of(count, seed=1):
    return draw_latents(count, LATENT_SIZE, seed=seed)


def assert_shows(path, expected):
    """Rounding of other batches may move a pixel by one."""
    assert np.abs(pixels(path) - expected.astype(int)).max() <= 1


def test_an_unconditional_generator_needs_no_labels(network, tmp_path):
    model = save_tiny_generator(network)
    output = tmp_path / "out"
    assert generate_pngs(Sampler(network), output, latents=latents_of(5)) == 5
    expected = to_uint8(model(latents_of(5)))
    for i in range(5):
        assert_shows(output / f"00000{i}.png", expected[i])
    assert_shows(output / "grid.png", make_grid(expected, 3))


def test_labels_that_are_not_classes_are_those_of_real_images_in_turn(network, tmp_path):
    rows = [[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    model = save_tiny_generator(network, label_size=3, description={"label_rows": rows})
    generate_pngs(Sampler(network), tmp_path / "out", latents=latents_of(3))
    expected = to_uint8(model([latents_of(3), np.array(rows, np.float32)[[0, 1, 0]]]))
    for i in range(3):
        assert_shows(tmp_path / "out" / f"00000{i}.png", expected[i])


@pytest.mark.parametrize("classes", [["dog"], ["1"]])
def test_classes_are_chosen_by_name_or_number(network, tmp_path, classes):
    description = {"label_names": ["a/cat", "dog"]}
    model = save_tiny_generator(network, label_size=2, description=description)
    generate_pngs(Sampler(network), tmp_path / "out", latents=latents_of(2), classes=classes)
    expected = to_uint8(model([latents_of(2), np.eye(2, dtype=np.float32)[[1, 1]]]))
    assert_shows(tmp_path / "out" / "000001-dog.png", expected[1])


def test_fewer_images_than_classes_leave_no_empty_rows(network, tmp_path):
    model = save_tiny_generator(network, label_size=5)
    generate_pngs(Sampler(network), tmp_path / "out", latents=latents_of(3))
    expected = to_uint8(model([latents_of(3), np.eye(5, dtype=np.float32)[:3]]))
    assert_shows(tmp_path / "out" / "grid.png", make_grid(expected, 1))


def test_a_directory_that_cannot_be_made_is_reported_before_a_network_is_loaded(
    tmp_path, capsys, monkeypatch
):
    def never(flags):
        raise AssertionError

    monkeypatch.setattr(products, "_sampler", never)
    (tmp_path / "file").write_text("")
    (tmp_path / "g.keras").touch()
    for output in ("/proc/nope", f"{tmp_path}/file/new"):
        assert command.main([f"--network={tmp_path}/g.keras", f"--output={output}"]) == 2
        error = capsys.readouterr().err
        assert f"--output={output}: can't be written: " in error
        assert error.count("\n") == 1
    with pytest.raises(AssertionError):
        command.main([f"--network={tmp_path}/g.keras", f"--output={tmp_path}/a/b"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "g.keras"]


def test_a_class_name_can_not_climb_out_of_the_output(network, tmp_path):
    save_tiny_generator(network, label_size=2, description={"label_names": ["../cat", "dog"]})
    generate_pngs(Sampler(network), tmp_path / "out", latents=latents_of(1), grid=False)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["000000-.._cat.png"]


def test_truncation_brings_images_closer_to_the_mean(network):
    save_tiny_generator(network)
    plain, none, all_of_it = (
        np.stack(list(Sampler(network, truncation=t).draw(latents_of(4), None))).astype(int)
        for t in (1.0, 0.999999, 0.0)
    )
    assert np.abs(plain - none).max() <= 1
    assert np.ptp(all_of_it, axis=0).max() <= 1
    assert np.ptp(plain, axis=0).max() > 20


def test_a_table_has_one_class_per_row_and_one_latent_vector_per_column(network, tmp_path):
    model = save_tiny_generator(network, label_size=3, description={"label_names": list("abc")})
    sampler = Sampler(network, batch_size=2)
    names = generate_table(sampler, tmp_path / "out", columns=4, seed=7, classes=["c", "a"])
    assert names == ["c", "a"]
    labels = np.eye(3, dtype=np.float32)[[2] * 4 + [0] * 4]
    expected = to_uint8(model([np.tile(latents_of(4, seed=7), [2, 1]), labels]))
    captions = [f"7:{column} {name}" for name in "ca" for column in range(4)]
    assert_shows(tmp_path / "out" / "table.png", captioned_grid(expected, captions, 4))


def test_a_long_class_name_cuts_no_number_from_a_caption(network, tmp_path, monkeypatch):
    save_tiny_generator(network, label_size=2, description={"label_names": ["long" * 99, "b"]})
    drawn = []
    monkeypatch.setattr(
        "pgan_tf.generating.pictures.captioned_grid",
        lambda images, captions, columns: drawn.extend(captions) or images[0],
    )
    generate_table(Sampler(network), tmp_path / "out", columns=1, seed=7)
    assert drawn == ["7:0 " + "long" * 99, "7:0 b"]


def test_a_table_of_an_unconditional_network_is_refused(network, tmp_path):
    save_tiny_generator(network)
    with pytest.raises(UserError, match="--table needs a conditional network"):
        generate_table(Sampler(network), tmp_path / "out", columns=2, seed=0)
    assert not (tmp_path / "out").exists()


def test_arithmetic_shows_each_seed_and_last_the_result(network, tmp_path):
    model = save_tiny_generator(network)
    generate_arithmetic(Sampler(network), tmp_path / "out", expressions=["1-2+3", "4+5"])
    first = to_uint8(model(evaluate_arithmetic([(1, 1), (-1, 2), (1, 3)], LATENT_SIZE)))
    second = to_uint8(model(evaluate_arithmetic([(1, 4), (1, 5)], LATENT_SIZE)))
    gap = np.zeros_like(second[:1])
    images = np.concatenate([first, second[:2], gap, second[2:]])
    captions = ["seed 1", "- seed 2", "+ seed 3", "=", "seed 4", "+ seed 5", "", "="]
    assert_shows(tmp_path / "out" / "arithmetic.png", captioned_grid(images, captions, 4))


def test_the_results_of_arithmetic_are_named_by_class(network, tmp_path, monkeypatch):
    save_tiny_generator(network, label_size=2, description={"label_names": ["cat", "dog"]})
    drawn = []
    monkeypatch.setattr(
        "pgan_tf.generating.pictures.captioned_grid",
        lambda images, captions, columns: drawn.extend(captions) or images[0],
    )
    generate_arithmetic(Sampler(network), tmp_path / "out", expressions=["-1+2"])
    assert drawn == ["- seed 1", "+ seed 2", "= cat", "- seed 1", "+ seed 2", "= dog"]


def test_frames_of_an_interpolation_are_its_walks_side_by_side(network, tmp_path):
    model = save_tiny_generator(network)
    path = tmp_path / "out" / "v.webp"
    generate_interpolation(
        Sampler(network, batch_size=5), path, walks=4, seconds=1.0, fps=6, smoothing=0.2, seed=2
    )
    walks = looping_walks(4, 6, LATENT_SIZE, smoothing=1.2, seed=2)
    with Image.open(path) as video:
        assert video.n_frames == 6
        for frame in range(6):
            video.seek(frame)
            expected = make_grid(to_uint8(model(walks[:, frame])), 2)
            got = np.asarray(video.convert("RGB").resize((16, 16), Image.Resampling.BOX))
            # WebP is lossy; frames of other moments differ by far more.
            assert np.abs(got.astype(int) - expected).mean() < 12


def test_batches_fit_into_memory(network, monkeypatch):
    save_tiny_generator(network, resolution=16)
    sizes = {}
    for memory in (0, 2**22, 2**40):
        monkeypatch.setattr(
            "pgan_tf.runs.batch_size.available_memory", lambda memory=memory: memory
        )
        sizes[memory] = Sampler(network).batch_size
    assert sizes[0] == 1
    # A convolution at 4x4, two at 8x8 and 16x16, of 8 features each; RGB; 16 bytes a feature.
    features = 16 * 8 + 2 * 64 * 8 + 2 * 256 * 8 + 256 * 3
    assert sizes[2**22] == 2**20 // (16 * features) == 10
    assert sizes[2**40] == 64
    assert Sampler(network, batch_size=7).batch_size == 7


def call(network, output, *flags):
    return command.main([f"--network={network}", f"--output={output}", *flags])


def test_a_file_of_latents_is_drawn(network, tmp_path):
    model = save_tiny_generator(network)
    np.save(tmp_path / "z.npy", latents_of(3))
    assert call(network, tmp_path / "out", f"--latents={tmp_path / 'z.npy'}") == 0
    assert_shows(tmp_path / "out" / "000002.png", to_uint8(model(latents_of(3)))[2])
    assert len(list((tmp_path / "out").iterdir())) == 4


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--truncation=1.5"], "--truncation must be from 0 to 1. Received: 1.5"),
        (["--truncation=-0.1"], "--truncation must be from 0 to 1. Received: -0.1"),
        (["--truncation=nan"], "--truncation must be a finite number. Received: nan"),
        (["--latents=TMP/none.npy"], "none.npy: No such file"),
        (["--latents=TMP/z.npy", "--seed=1"], "leave out --num_images and --seed"),
        (["--table"], "--table needs a conditional network"),
        (
            ["--table", "--arithmetic=1-2"],
            "--table and --arithmetic need a call of pgan-generate each",
        ),
        (["--arithmetic=cat"], "--arithmetic must be seeds"),
        (["--seconds=3"], "--seconds goes with --video=interpolation or --video=training"),
        (["--video=training"], "g.keras: --video=training needs a run directory"),
        (["--video=training", "--truncation=0.5"], "--truncation goes with images or"),
        (["--video=interpolation", "--format=gif", "--fps=60"], "at most 50 for a GIF"),
        (["--video=cats"], "interpolation|training"),
        (["--seconds=0", "--video=interpolation"], "seconds"),
        (["--classes=dog"], "is not conditional"),
        (
            ["--output=TMP"],
            "holds files already (g.keras); name another directory, or give --overwrite",
        ),
        (["--output=TMP/g.keras"], "must be a directory"),
    ],
)
def test_mistakes_are_reported_in_one_line_and_leave_nothing(
    network, tmp_path, capsys, flags, message
):
    save_tiny_generator(network)
    given = [flag.replace("TMP", str(tmp_path)) for flag in flags]
    assert call(network, tmp_path / "out", *given) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.strip().count("\n") == 0
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_the_command_makes_each_kind_of_picture(network, tmp_path, capsys):
    save_tiny_generator(network, label_size=2, description={"label_names": ["cat", "dog"]})
    output = tmp_path / "out"
    assert call(network, output, "--table", "--num_images=3") == 0
    assert "rows: cat, dog" in capsys.readouterr().out
    assert Image.open(output / "table.png").size == (288, 222)
    assert call(network, output, "--arithmetic=1-2", "--classes=dog", "--overwrite") == 0
    assert Image.open(output / "arithmetic.png").size == (288, 111)
    video = ["--video=interpolation", "--seconds=0.3", "--fps=10", "--format=gif", "--overwrite"]
    assert call(network, output, *video) == 0
    # Nine walks of two classes: one class a row, enlarged.
    assert Image.open(output / "interpolation.gif").size == (480, 192)
