"""The page of --format=web in headless Chromium, compared with Keras and NumPy."""

import io
import json
import os
import shlex
import shutil

import numpy as np
import pytest
from PIL import Image

from pgan_tf.generating.directions import move_latents
from pgan_tf.runs.grids import to_uint8, to_uint16
from tests.helpers.browser import serve
from tests.helpers.generators import LATENT_SIZE
from tests.helpers.web_page import (
    IN_BROWSER,
    between,
    close,
    complaints,
    drawn,
    expected,
    normals,
    open_latents,
    open_page,
    picture,
    set_input,
    settle,
    value_of,
    wait_for_file,
)

pytestmark = IN_BROWSER


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
