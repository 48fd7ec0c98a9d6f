"""Latents from a file in the page of --format=web, compared with Keras and NumPy."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from pgan_tf.generating.directions import move_latents
from tests.helpers.generators import LATENT_SIZE
from tests.helpers.web_page import (
    IN_BROWSER,
    between,
    close,
    expected,
    is_open,
    normals,
    open_latents,
    picture,
    set_input,
    settle,
    text_of,
    value_of,
    wait_for_file,
)

pytestmark = IN_BROWSER


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
