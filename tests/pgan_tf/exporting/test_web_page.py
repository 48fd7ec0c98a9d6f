"""The page of --format=web in headless Chromium, compared with Keras and NumPy."""

import io
import json
import os
import shlex
import shutil

import numpy as np
import pytest
from PIL import Image

from pgan_tf.exporting import export_generator
from pgan_tf.generating.directions import move_latents
from pgan_tf.generating.truncation import truncated_function
from pgan_tf.runs.grids import to_uint8, to_uint16
from tests.helpers.browser import find_browser, open_browser, serve
from tests.helpers.generators import LATENT_SIZE, save_tiny_generator
from tests.helpers.runtime_web import find_runtime
from tfrecords_tools.shape import Base

RUNTIME = find_runtime()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not find_browser(), reason="no Chromium; `make browser` installs it"),
    pytest.mark.skipif(not RUNTIME, reason="no ONNX Runtime Web; `make browser` fetches it"),
]
NAMES = ["cat", "dog <b>", "ant"]
# The browser's own warnings: WebGPU finds no GPU; this test reads a canvas several times.
NOT_OURS = ("No available adapters.", "Canvas2D: Multiple readback operations")


@pytest.fixture(scope="module")
def tab():
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def conditional(tmp_path_factory):
    """A page of a conditional generator, and the generator."""
    directory = tmp_path_factory.mktemp("conditional")
    model = save_tiny_generator(
        directory / "run" / "networks" / "generator-000012.keras",
        resolution=16,
        label_size=3,
        description={"label_names": NAMES, "images_seen": 12000},
    )
    export = export_generator(
        directory / "run", directory / "page", file_format="web", runtime=str(RUNTIME)
    )
    return export.path, model


@pytest.fixture(scope="module")
def rectangle(tmp_path_factory):
    """A page of a generator of transparent rectangles, and the generator."""
    directory = tmp_path_factory.mktemp("it's a page")
    options = {"base": Base(height=5, width=9)}
    model = save_tiny_generator(directory / "g.keras", channels=4, options=options)
    export = export_generator(
        directory / "g.keras", directory / "page", file_format="web", runtime=str(RUNTIME)
    )
    return export.path, model


@pytest.fixture
def page(tab, conditional):
    """The conditional generator's page, ready; it must not complain."""
    with serve(conditional[0]) as address:
        open_page(tab, address)
        yield tab
        assert complaints(tab) == []
        assert {url[: len(address)] for url in tab.requests()} == {address}


def complaints(tab):
    return [text for text in tab.complaints() if not text.startswith(NOT_OURS)]


def open_page(tab, address):
    tab.resize(1200, 900)
    tab.open(address)
    settle(tab)


def settle(tab):
    """Waits until all that was asked for is drawn."""
    tab.wait_for("Boolean(window.pgan?.isIdle || document.querySelector('#message').textContent)")


def drawn(tab, **options):
    """The page's image of exact inputs, as bytes [h w c]."""
    image = tab.evaluate(
        f"window.pgan.draw({json.dumps(options)})"
        ".then(({values, ...size}) => ({...size, values: [...values]}))"
    )
    shape = [image["height"], image["width"], image["channels"]]
    return to_uint8(np.reshape(np.array(image["values"], np.float32), shape))


def picture(tab):
    """The canvas [h w 4] uint8."""
    size, values = tab.evaluate(
        "(() => { const c = document.getElementById('picture');"
        "return [[c.height, c.width, 4],"
        "[...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]]; })()"
    )
    return np.array(values, np.uint8).reshape(size)


def set_input(tab, name, value, event="input"):
    """Moves a slider, or types into a field, as a person does."""
    tab.evaluate(
        f"(e => {{ e.value = {json.dumps(value)};"
        f"e.dispatchEvent(new Event('{event}', {{bubbles: true}})); }})"
        f"(document.getElementById('{name}'))"
    )
    settle(tab)


def value_of(tab, name):
    return float(tab.evaluate(f"document.getElementById('{name}').value"))


def close(first, second):
    """At most one of 255 levels apart."""
    return np.abs(first.astype(int) - second.astype(int)).max() <= 1


def expected(model, latents, label=None, truncation=1.0):
    labels = None if label is None else np.eye(3, dtype=np.float32)[[label]]
    latents = np.asarray(latents, np.float32)[np.newaxis]
    return to_uint8(truncated_function(model, truncation)(latents, labels))[0]


def normals(seed, size):
    """The page's latents of a seed: sfc32 and Box-Muller, written anew."""
    mask = 2**32 - 1
    a, b, c, d = seed, 0x9E3779B9, 0x243F6A88, 1
    bits = []
    for _ in range(20 + size + size % 2):
        total = (a + b + d) & mask
        d = (d + 1) & mask
        a = b ^ (b >> 9)
        b = (c + (c << 3)) & mask
        c = (((c << 21) | (c >> 11)) + total) & mask
        bits.append(total)
    uniform = np.reshape(bits[20:], [-1, 2]) / 2.0**32
    radius = np.sqrt(-2 * np.log(uniform[:, 0] + 2.0**-32))
    angle = 2 * np.pi * uniform[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).ravel()[:size]


def between(first, second, mix):
    """Spherical interpolation, by rotation in the plane of two vectors."""
    a, b = (x / np.linalg.norm(x) for x in (first, second))
    angle = np.arccos(a @ b)
    across = b - (a @ b) * a
    across /= np.linalg.norm(across)
    return np.cos(mix * angle) * a + np.sin(mix * angle) * across


def test_it_draws_what_keras_draws(page, conditional, rng):
    for label, truncation in ((0, 1.0), (1, 0.5), (2, 0.0)):
        latents = rng.standard_normal(LATENT_SIZE)
        image = drawn(page, latents=latents.tolist(), label=label, truncation=truncation)
        assert close(image, expected(conditional[1], latents, label, truncation))
        assert np.ptp(image) > 20
    assert page.evaluate("document.title") == "run"
    about = page.evaluate("document.getElementById('about').textContent")
    assert about == "16x16 pixels, 3 classes, trained on 12,000 images"
    line = page.evaluate("document.querySelector('.line').innerText")
    assert line.startswith("Drawn by WebAssembly in ") and line.endswith("ms an image")


def test_sliders_give_the_picture_of_the_formulas(page, conditional):
    folder, model = conditional
    directions = np.array(json.loads((folder / "generator.json").read_text())["directions"])
    assert directions.shape == (LATENT_SIZE, LATENT_SIZE)
    state = {"seed": 5, "second": 9, "mix": 0.0, "label": 0, "truncation": 1.0}
    step = np.zeros(LATENT_SIZE)
    seen = []

    def check():
        first, second = (normals(state[name], LATENT_SIZE) for name in ("seed", "second"))
        latents = move_latents(between(first, second, state["mix"]), step)
        image = picture(page)
        assert close(image[..., :3], expected(model, latents, state["label"], state["truncation"]))
        assert (image[..., 3] == 255).all()
        assert not any(np.array_equal(image, other) for other in seen)
        seen.append(image)

    set_input(page, "second", 9)
    set_input(page, "seed", 5)
    check()
    set_input(page, "mix-slider", 0.4)
    state["mix"] = 0.4
    check()
    set_input(page, "truncation-slider", 0.7)
    state["truncation"] = 0.7
    check()
    set_input(page, "class", "1", event="change")
    state["label"] = 1
    check()
    set_input(page, "direction-1", 3)
    set_input(page, "direction-3", -2.5)
    step = 3 * directions[0] - 2.5 * directions[2]
    check()
    # The grid has the class and the truncation, and seeds by themselves.
    small = page.evaluate(
        "[...document.querySelectorAll('#grid canvas')[1].getContext('2d')"
        ".getImageData(0, 0, 16, 16).data]"
    )
    small = np.array(small, np.uint8).reshape(16, 16, 4)[..., :3]
    latents = move_latents(normals(2, LATENT_SIZE), np.zeros(LATENT_SIZE))
    assert close(small, expected(model, latents, 1, 0.7))
    page.evaluate("document.getElementById('reset').click()")
    settle(page)
    step, state["mix"], state["truncation"] = np.zeros(LATENT_SIZE), 0.0, 1.0
    check()


def test_values_set_while_the_network_loads_are_drawn(page):
    page.evaluate("location.reload()")
    page.wait_for("!window.pgan && document.readyState === 'complete' && seed.value === '1'")
    page.evaluate("seed.value = 4; seed.dispatchEvent(new Event('input'))")
    settle(page)
    shown = picture(page)
    set_input(page, "seed", 5)
    assert not np.array_equal(picture(page), shown)
    set_input(page, "seed", 4)
    assert np.array_equal(picture(page), shown)


def test_seeds_are_chosen_from_the_grid(page):
    click = "document.querySelectorAll('#grid button')[{}].click()"
    page.evaluate(click.format(6))
    settle(page)
    assert value_of(page, "seed") == 7
    pressed = page.evaluate("document.querySelector('#grid [aria-pressed=true]').textContent")
    assert pressed == "Seed 7"
    page.evaluate("document.querySelector('[name=target][value=second]').click()")
    page.evaluate(click.format(2))
    settle(page)
    assert (value_of(page, "seed"), value_of(page, "second")) == (7, 3)
    assert value_of(page, "mix-slider") == 1
    page.evaluate("document.getElementById('later').click()")
    settle(page)
    texts = page.evaluate("[...document.querySelectorAll('#grid button')].map(b => b.textContent)")
    assert texts == [f"Seed {seed}" for seed in range(13, 25)]


def test_keys(page):
    page.press("ArrowRight")
    page.press("ArrowRight")
    page.press("ArrowLeft")
    assert value_of(page, "seed") == 2
    page.press("ArrowDown")
    page.press("]")
    page.press("c")
    settle(page)
    assert value_of(page, "truncation-slider") == 0.95
    assert value_of(page, "mix-slider") == 0.05
    assert value_of(page, "class") == 1
    page.press("0")
    assert value_of(page, "truncation-slider") == 1
    # A slider with the focus is what arrows move; and in a field, keys are typed.
    page.evaluate("document.getElementById('direction-2').focus()")
    page.press("ArrowRight")
    assert value_of(page, "direction-2") == pytest.approx(0.1)
    assert value_of(page, "seed") == 2
    page.evaluate("document.getElementById('seed').focus()")
    page.press("c")
    assert value_of(page, "class") == 1
    page.evaluate("document.activeElement.blur(); document.getElementById('shortcuts').click()")
    page.press("c")
    assert value_of(page, "class") == 1
    settle(page)


def text_of(tab, name):
    return tab.evaluate(f"document.getElementById('{name}').innerText")


def open_latents(tab, path, latents):
    """Saves latents and chooses their file."""
    np.save(path, latents)
    tab.choose_files("#latents-file", path)
    tab.wait_for(f"document.getElementById('opened-name').textContent.startsWith('{path.name}')")
    settle(tab)


def is_open(tab):
    return not tab.evaluate("document.getElementById('opened').hidden")


def test_latents_of_a_file_take_the_place_of_the_seed(page, conditional, tmp_path, rng):
    folder, model = conditional
    directions = np.array(json.loads((folder / "generator.json").read_text())["directions"])
    # Shorter than on the sphere, which matters beside a class.
    rows = (0.5 * rng.standard_normal([3, LATENT_SIZE])).astype(np.float32)
    set_input(page, "mix-slider", 1)
    open_latents(page, tmp_path / "found.npy", rows)
    assert value_of(page, "mix-slider") == 0
    assert close(picture(page)[..., :3], expected(model, rows[0], 0))
    on_sphere = move_latents(rows[0], np.zeros(LATENT_SIZE))
    assert not close(picture(page)[..., :3], expected(model, on_sphere, 0))
    set_input(page, "row", 2)
    assert close(picture(page)[..., :3], expected(model, rows[2], 0))
    page.press("ArrowLeft")
    settle(page)
    assert value_of(page, "row") == 1
    set_input(page, "class", "2", event="change")
    set_input(page, "truncation-slider", 0.6)
    assert close(picture(page)[..., :3], expected(model, rows[1], 2, 0.6))
    set_input(page, "mix-slider", 0.3)
    set_input(page, "second", 9)
    set_input(page, "direction-2", 2.5)
    between_them = between(rows[1], normals(9, LATENT_SIZE), 0.3)
    latents = move_latents(between_them, 2.5 * directions[1])
    assert close(picture(page)[..., :3], expected(model, latents, 2, 0.6))
    label = page.evaluate("document.getElementById('picture').getAttribute('aria-label')")
    assert label == "Generated picture of class ant, latents found row 1"
    assert page.evaluate("document.querySelector('#grid [aria-pressed=true]')") is None
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.press("s")
    wait_for_file(page, tmp_path / "latents-found-row-1.png")
    saved = np.asarray(Image.open(tmp_path / "latents-found-row-1.png"))
    assert np.array_equal(saved, picture(page)[..., :3])
    # A row that there isn't becomes the last one when its field is left.
    set_input(page, "row", 7)
    set_input(page, "truncation-slider", 0.7)
    assert close(picture(page)[..., :3], expected(model, latents, 2, 0.7))
    set_input(page, "row", 7, event="change")
    assert value_of(page, "row") == 2
    moved = move_latents(between(rows[2], normals(9, LATENT_SIZE), 0.3), 2.5 * directions[1])
    assert close(picture(page)[..., :3], expected(model, moved, 2, 0.7))


def test_one_row_needs_no_choice_and_seeds_come_back(page, conditional, tmp_path, rng):
    model = conditional[1]
    row = rng.standard_normal(LATENT_SIZE)
    seeds = normals(1, LATENT_SIZE), normals(3, LATENT_SIZE)
    of_seeds = [expected(model, move_latents(z, np.zeros(LATENT_SIZE)), 0) for z in seeds]

    def shown():
        return picture(page)[..., :3]

    open_latents(page, tmp_path / "one.npy", row)
    assert close(shown(), expected(model, row, 0))
    assert text_of(page, "opened-name") == "one.npy in place of the seed"
    assert page.evaluate("document.getElementById('row-label').hidden") is True
    page.press("ArrowRight")
    settle(page)
    assert close(shown(), expected(model, row, 0)) and value_of(page, "seed") == 1
    page.evaluate("document.getElementById('close').click()")
    settle(page)
    assert close(shown(), of_seeds[0]) and not is_open(page)
    assert page.evaluate("document.activeElement.id") == "open"
    page.drop_files(tmp_path / "one.npy")
    page.wait_for("!document.getElementById('opened').hidden")
    assert page.evaluate("document.body.classList.contains('dropping')") is False
    set_input(page, "seed", 3)
    assert close(shown(), of_seeds[1]) and not is_open(page)
    open_latents(page, tmp_path / "one.npy", row)
    page.evaluate("document.querySelectorAll('#grid button')[2].click()")
    settle(page)
    assert close(shown(), of_seeds[1]) and not is_open(page)


def test_a_seed_typed_while_a_file_is_read_is_the_newer_wish(page):
    page.evaluate("""
      const files = new DataTransfer();
      files.items.add(new File(["no latents"], "late.npy"));
      const drop = new DragEvent("drop", { dataTransfer: files, cancelable: true });
      document.dispatchEvent(drop);
      window.prevented = drop.defaultPrevented;
      seed.value = 4;
      seed.dispatchEvent(new Event("input"));
      new File(["as long"], "later.npy").arrayBuffer().then(() => new Promise(requestIdleCallback));
    """)
    settle(page)
    assert text_of(page, "message") == "" and value_of(page, "seed") == 4
    assert page.evaluate("prevented")  # or the browser would go to the file


def test_what_is_wrong_with_a_file_is_one_line(page, tmp_path):
    (tmp_path / "boot.json").write_text("{}")
    with (tmp_path / "large.npy").open("wb") as file:
        file.truncate(101_000_000)
    np.save(tmp_path / "other.npy", np.zeros([2, LATENT_SIZE + 1], np.float32))
    np.save(tmp_path / "right.npy", np.ones(LATENT_SIZE, np.float32))
    before = picture(page)
    for names, said in (
        (["boot.json"], "boot.json: this is not an .npy file, as pgan-project"),
        (["large.npy"], "large.npy: too large: 101.0 MB; this page reads at most 100.0 MB"),
        (["other.npy"], f"[n {LATENT_SIZE}]. Received: [2 {LATENT_SIZE + 1}]"),
        (["other.npy", "large.npy"], "Open one .npy file at a time. Received: 2 files"),
    ):
        page.drop_files(*(tmp_path / name for name in names))
        page.wait_for(f"document.getElementById('message').innerText.includes({json.dumps(said)})")
        assert "\n" not in text_of(page, "message")
    # A phone shows it wherever the page is scrolled to.
    page.resize(360, 600, phone=True)
    page.evaluate("document.getElementById('open').scrollIntoView()")
    top = page.evaluate("document.getElementById('message').getBoundingClientRect().top")
    assert page.evaluate("scrollY") > 400 and 0 <= top < 100
    # The picture stays, and drawing the grid does not take the line away.
    settle(page)
    assert np.array_equal(picture(page), before) and not is_open(page)
    assert text_of(page, "message") != ""
    page.drop_files(tmp_path / "boot.json", tmp_path / "right.npy")
    page.wait_for("document.getElementById('message').innerText === ''")
    assert text_of(page, "opened-name") == "right.npy in place of the seed"
    page.drop_files(tmp_path / "boot.json")
    page.wait_for("document.getElementById('message').innerText !== ''")
    set_input(page, "mix-slider", 0.1)
    assert text_of(page, "message") == "" and is_open(page)


def read_by_page(tab, content, size):
    """The numbers that npy.js reads in bytes, or an error's words."""
    return tab.evaluate(
        f"import('./npy.js').then(npy => [...npy.readLatents(new Uint8Array({list(content)})"
        f".buffer, {size})]).catch(error => error.message)"
    )


def npy(array, version=None):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(array), version)
    return file.getvalue()


@pytest.mark.filterwarnings("ignore:Stored array in format")
def test_latents_are_read_as_numpy_writes_them(page, rng):
    for kind in ("<f4", "<f8"):
        for shape in ([5], [1, 5], [3, 5]):
            latents = rng.standard_normal(shape).astype(kind)
            for version in ((1, 0), (2, 0), (3, 0)):
                read = read_by_page(page, npy(latents, version), 5)
                assert np.array_equal(np.float32(read), latents.astype(np.float32).ravel())
    # NumPy reads no further than the array either.
    assert read_by_page(page, npy(np.float32([1, 2])) + b"more", 2) == [1, 2]


@pytest.mark.filterwarnings("ignore:Stored array in format")
def test_files_of_anything_else_are_refused(page):
    good = npy(np.zeros([2, 4], np.float32))
    bad = np.zeros([3, 4])
    for value in (np.nan, np.inf, 1e39):
        bad[1, 2] = value
        assert read_by_page(page, npy(bad), 4) == "row 1 is not finite in float32"
    shape = "latents of this network have the shape [n 4]. Received: "
    kinds = "latents are numbers of type <f4 or <f8. Received: "
    not_npy, damaged = "this is not an .npy file", "header can't be read"
    for content, said in (
        (b"", not_npy),
        (good[:9], not_npy),
        (b"PK\3\4" + good, not_npy),
        (good[:6] + b"\x04" + good[7:], "version 4; this page reads 1 to 3"),
        (good[:6] + b"\x00" + good[7:], "version 0; this page reads 1 to 3"),
        (npy(bad, (2, 0))[:11], damaged),
        (good[:8] + b"\xff\xff" + good[10:], damaged),
        (npy(bad, (2, 0))[:8] + b"\xff\xff\xff\xff" + good, damaged),
        (good[:60], damaged),
        (good.replace(b"'shape'", b"'shame'"), damaged),
        (good.replace(b"'descr'", b"'deskr'"), damaged),
        (good.replace(b"False", b"Maybe"), damaged),
        (good.replace(b"(2, 4)", b"(-2,4)"), damaged),
        (good[:-1], f"cut short: {len(good)} bytes expected. Received: {len(good) - 1} bytes"),
        (good.replace(b"(2, 4), }        ", b"(99999999999, 4)}"), "cut short: 1600000000"),
        (npy(np.float32(1)), shape + "[]"),
        (npy(np.zeros(5, np.float32)), shape + "[5]"),
        (npy(np.zeros([4, 5], np.float32)), shape + "[4 5]"),
        (npy(np.zeros([0, 4], np.float32)), shape + "[0 4]"),
        (npy(np.zeros([1, 2, 4], np.float32)), shape + "[1 2 4]"),
        (npy(np.zeros([2, 4], np.float32, order="F")), "Fortran's order"),
        (npy(np.zeros([2, 4], ">f4")), kinds + ">f4"),
        (npy(np.zeros([2, 4], np.int64)), kinds + "<i8"),
        (npy(np.zeros([2, 4], np.complex64)), kinds + "<c8"),
        (npy(np.array([[None] * 4])), kinds + "|O"),
        (npy(np.zeros([2, 4], [("x", "<f4")])), kinds + "[(x, <f4)]"),
    ):
        message = read_by_page(page, content, 4)
        assert isinstance(message, str) and said in message, content


def test_one_picture_at_a_time_and_only_the_last_wish(page):
    page.evaluate("""
      window.sent = 0; window.open_ = 0; window.most = 0;
      const post = Worker.prototype.postMessage;
      Worker.prototype.postMessage = function (message) {
        sent++; open_++; most = Math.max(most, open_);
        post.call(this, message);
      };
      const { get } = Object.getOwnPropertyDescriptor(MessageEvent.prototype, "data");
      Object.defineProperty(MessageEvent.prototype, "data", {
        get() { open_--; return get.call(this); },
      });
      for (let i = 1; i <= 100; i++) {
        const slider = document.getElementById("mix-slider");
        slider.value = i / 100;
        slider.dispatchEvent(new Event("input"));
      }
    """)
    settle(page)
    assert page.evaluate("most") == 1
    assert page.evaluate("sent") <= 2 + 12  # the first and the last, and the grid
    second = picture(page)
    set_input(page, "seed", 2)
    set_input(page, "mix-slider", 0)
    assert np.array_equal(picture(page), second)


def test_the_picture_is_saved_with_its_transparent_colors(tab, rectangle, tmp_path):
    folder, model = rectangle
    with serve(folder) as address:
        open_page(tab, address)
        tab.call(
            "Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path / "saved")
        )
        set_input(tab, "seed", 3)
        tab.evaluate("document.getElementById('save').click()")
        file = tmp_path / "saved" / "seed-3.png"
        wait_for_file(tab, file)
        assert tab.evaluate("document.getElementById('class-label').hidden") is True
        shown = picture(tab)
        assert complaints(tab) == []
    saved = np.asarray(Image.open(file))
    assert saved.shape == (10, 18, 4)
    latents = move_latents(normals(3, LATENT_SIZE), np.zeros(LATENT_SIZE))
    assert close(saved, expected(model, latents))
    assert saved[..., 3].min() < 250
    # A canvas keeps colors multiplied by alpha, and so fewer levels of them.
    assert np.array_equal(shown[..., 3], saved[..., 3])
    alpha = saved[..., 3:] / 255.0
    assert np.abs(shown[..., :3] * alpha - saved[..., :3] * alpha).max() <= 1


def wait_for_file(tab, file):
    for _ in range(2000):
        if file.is_file():
            return
        tab.evaluate("new Promise(keep => setTimeout(keep, 20))")
    raise AssertionError(f"{file} was not saved")


def test_a_saved_picture_equals_the_canvas(page, tmp_path):
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.press("s")
    wait_for_file(page, tmp_path / "seed-1.png")
    saved = Image.open(tmp_path / "seed-1.png")
    assert saved.mode == "RGB"
    assert np.array_equal(np.asarray(saved), picture(page)[..., :3])


def test_png_files_of_all_channels_and_bits(page, rng):
    for channels, bits in [(1, 8), (2, 8), (3, 8), (4, 8), (1, 16)]:
        check_png(page, rng, channels, bits)


def check_png(page, rng, channels, bits):
    values = rng.uniform(-1.2, 1.2, [3, 5, channels]).astype(np.float32)
    # Some that lie in the middle of two levels in float32, and are rounded to the even one.
    half = np.float32((2**bits - 1) / 2)
    middles = np.arange(0.5, 200, 2, np.float32) / half - np.float32(1)
    middles = middles[(middles + np.float32(1)) * half % 1 == 0.5]
    values.ravel()[: min(4, len(middles))] = middles[:4]
    assert len(middles) >= 1 or bits == 16
    image = {"width": 5, "height": 3, "channels": channels, "values": values.ravel().tolist()}
    encoded = page.evaluate(
        f"import('./png.js').then(png => png.encodePng({json.dumps(image)}, {bits}))"
        ".then(blob => blob.arrayBuffer()).then(b => [...new Uint8Array(b)])"
    )
    decoded = Image.open(io.BytesIO(bytes(encoded)))
    decoded.load()
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels] if bits == 8 else "I;16"
    assert (decoded.size, decoded.mode) == ((5, 3), mode)
    levels = to_uint8(values) if bits == 8 else to_uint16(values)
    assert np.array_equal(np.asarray(decoded).reshape(values.shape), levels)


def test_latents_are_standard_normal(page):
    from scipy import stats

    code = "import('./latents.js').then(l => [...l.drawLatents({}, {})])"
    for seed, size in ((0, 3), (2**32 - 1, 8)):
        np.testing.assert_allclose(page.evaluate(code.format(seed, size)), normals(seed, size))
    seeds = page.evaluate(
        "import('./latents.js').then(l => Array.from({length: 400}, (_, s) =>"
        " [...l.drawLatents(s, 64)]))"
    )
    seeds = np.array(seeds)
    assert stats.kstest(seeds.ravel(), "norm").pvalue > 0.01
    # Neighboring seeds have nothing in common.
    correlations = np.sum(seeds[1:] * seeds[:-1], axis=1) / 8
    assert stats.kstest(correlations, "norm").pvalue > 0.01


def test_nothing_overflows_on_a_phone(page, tmp_path):
    open_latents(page, tmp_path / f"{'a_long_name' * 9}.npy", np.zeros([2, LATENT_SIZE]))
    for width in (320, 360, 400):
        page.resize(width, 700, phone=True)
        assert page.evaluate("innerWidth") == width
        assert page.evaluate("document.documentElement.scrollWidth") == width
        beyond = page.evaluate(
            "[...document.querySelectorAll('body *')].filter(e => !e.closest('[hidden]') &&"
            "e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML)"
        )
        assert beyond == []


def test_sliders_stay_within_the_frame_where_columns_are_narrowest(page):
    for width in (320, 770, 790, 1280):
        page.resize(width, 700)
        beyond = page.evaluate(
            "[...document.querySelectorAll('fieldset')].flatMap(f => [...f.querySelectorAll('*')]"
            ".filter(e => !e.closest('[hidden]') && e.getBoundingClientRect().right >"
            "f.getBoundingClientRect().right + 0.5).map(e => e.outerHTML))"
        )
        assert beyond == [], width


def test_texts_have_contrast(page):
    for dark in (False, True):
        check_contrast(page, dark)


def check_contrast(page, dark):
    page.resize(1000, 900, dark=dark)
    names = ["ground", "raised", "text", "quiet", "accent", "on-accent", "alarm", "alarm-ground"]
    colors = page.evaluate(
        f"{json.dumps(names)}.map(n =>"
        "getComputedStyle(document.documentElement).getPropertyValue('--' + n).trim())"
    )
    values = {}
    for name, color in zip(names, colors, strict=True):
        levels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        # WCAG 2.1's relative luminance.
        linear = np.where(levels <= 0.03928, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
        values[name] = linear @ [0.2126, 0.7152, 0.0722]
    for one, other in (
        ("text", "ground"),
        ("text", "raised"),
        ("quiet", "ground"),
        ("on-accent", "accent"),
        ("alarm", "alarm-ground"),
    ):
        high, low = sorted([values[one], values[other]], reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (one, other)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") is not dark


def test_everything_that_takes_the_focus_has_a_name(page, tmp_path):
    open_latents(page, tmp_path / "two.npy", np.zeros([2, LATENT_SIZE]))
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    named = {}
    for node in nodes:
        properties = {p["name"]: p["value"].get("value") for p in node.get("properties", [])}
        if properties.get("focusable") and not node["ignored"]:
            named.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value"))
    assert {"slider", "button", "spinbutton", "combobox", "radio", "checkbox"} <= named.keys()
    assert len(named["slider"]) == 2 + LATENT_SIZE
    for role, names in named.items():
        assert role == "RootWebArea" or all(names), role
        assert len(set(names)) == len(names), role
    assert "Class" in named["combobox"][0]


def test_class_names_are_text(page):
    texts = page.evaluate("[...document.getElementById('class').options].map(o => o.innerHTML)")
    assert texts == ["cat", "dog &lt;b&gt;", "ant"]


def test_a_file_says_what_to_type(tab, rectangle):
    folder = rectangle[0]
    tab.open((folder / "index.html").as_uri())
    message = tab.evaluate("document.getElementById('message').innerText")
    assert "can't run from a file" in message
    typed = tab.evaluate("document.querySelector('#message code').textContent")
    command = shlex.split(typed)
    assert command[:3] == ["python3", "-m", "http.server"]
    assert command[-2] == "--directory" and command[-1] == f"{folder}/"
    assert tab.evaluate("document.getElementById('page').hidden") is True


def test_without_webgpu_an_attempt_falls_back(tab, conditional):
    with serve(conditional[0]) as address:
        open_page(tab, f"{address}?backend=webgpu")
        assert "WebAssembly" in tab.evaluate("document.getElementById('status').textContent")
        assert any("webgpu" in url for url in tab.requests())


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("generator.onnx", None, "generator.onnx: 404"),
        ("generator.onnx", b"not a network", "can't draw"),
        ("generator.json", None, "generator.json: 404"),
        ("runtime/ort.wasm.bundle.min.js", None, "pgan-export --runtime=DIR copies it"),
        ("runtime/ort-wasm-simd-threaded.wasm", b"nothing", "can't draw"),
        ("latents.js", None, "could not be loaded"),
        ("worker.js", None, "worker"),
    ],
)
def test_errors_are_shown(tab, rectangle, tmp_path, name, content, said):
    folder = tmp_path / "page"
    shutil.copytree(rectangle[0], folder, copy_function=os.link)  # the runtime is large
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with serve(folder) as address:
        tab.open(address)
        tab.wait_for("document.getElementById('message').textContent !== ''")
        assert said in tab.evaluate("document.getElementById('message').textContent")
