"""Each check of a history that shows its trouble, and of healthy ones."""

import math
import shlex
from pathlib import Path

import pytest

from pgan_tf.config.flags import to_flagfile
from pgan_tf.config.phases import Schedule
from pgan_tf.diagnosis.averages import AVERAGE_LAGS
from pgan_tf.diagnosis.balance import LEARNS_EVERYTHING, LEARNS_NOTHING
from pgan_tf.diagnosis.checks import CHECKS
from pgan_tf.diagnosis.convergence import UNCONVERGED
from pgan_tf.diagnosis.courses import Course
from pgan_tf.diagnosis.findings import Verdict
from pgan_tf.diagnosis.overfitting import OVERFITTING
from pgan_tf.diagnosis.penalties import PENALTY
from pgan_tf.diagnosis.remedies import command_with
from pgan_tf.diagnosis.updates import NOT_FINITE
from pgan_tf.diagnosis.variety import CLASS_COLLAPSE, COLLAPSE
from tests.helpers.histories import history, subject
from tests.helpers.presets import config_of

TROUBLESHOOTING = Path(__file__).parents[3] / "docs" / "guide" / "troubleshooting.md"
LOGISTIC = {"loss": "logistic"}
HELD_OUT = {"validation_images": 100}
FAR = {"diagnosis__distance": 0.8, "diagnosis__average_distance": 0.8}


def findings(check, ticks, of):
    """Follow a check over a history; return all findings that it comes to."""
    course, found = Course(check), []
    for count in range(1, len(ticks) + 1):
        before = course.finding
        course.add(ticks[count - 1].images_seen, check.verdict(ticks[:count], of))
        if course.finding is not None and before is None:
            found.append(course.finding)
    return found


def finding(check, of, **changes):
    """Return the only finding of a history."""
    (found,) = findings(check, history(of, **changes), of)
    return found


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
@pytest.mark.parametrize("sections", [{}, {"data": HELD_OUT}, {"loss": {"loss": "lsgan"}}])
def test_a_healthy_run_has_none(check, sections):
    of = subject(**sections)
    assert not findings(check, history(of), of)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_run_without_measurements_has_none(check):
    of = subject()
    ticks = history(of, **dict.fromkeys(("diagnosis__separation", "diagnosis__distance")))
    assert not findings(check, ticks, of)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_each_has_an_entry_with_a_picture_that_its_name_leads_to(check):
    picture = f"images/diagnosis-{check.name}.png"
    text = TROUBLESHOOTING.read_text()
    entry = text[text.index(f"### `{check.name}`\n") :].split("\n### ")[0]
    assert picture in entry
    assert (TROUBLESHOOTING.parents[1] / picture).exists()


def test_held_out_reals_that_score_like_fakes():
    of = subject(data=HELD_OUT, loss=LOGISTIC)
    found = finding(OVERFITTING, of, diagnosis__memorization=lambda kimg: kimg / 60)
    assert found.since == 43_000  # the third of its phase; fades are not measured
    assert "held-out reals score like fakes" in found.sign.seen
    assert found.sign.flags == {"augment": "ada"}


@pytest.mark.parametrize(
    ("sections", "changes", "flags"),
    [
        ({}, {}, {"augment": "ada"}),
        ({"network": {"discriminator_norm": "batch"}}, {}, {"augment": "diffaugment"}),
        ({"loss": LOGISTIC, "augment": {"augment": "ada"}}, {"augment__p": 0.3},
         {"augment_target": "0.4"}),
        ({"loss": LOGISTIC, "augment": {"augment": "ada"}}, {"augment__p": 0.9}, {}),
        ({"loss": LOGISTIC, "augment": {"augment": "ada", "augment_target": 0.1}},
         {"augment__p": 0.3}, {}),
        ({"augment": {"augment": "fixed", "augment_p": 0.2}}, {}, {"augment_p": "0.4"}),
        ({"augment": {"augment": "diffaugment"}}, {}, {}),
    ],
)  # fmt: skip
def test_the_remedy_depends_on_the_augmentation_there_is(sections, changes, flags):
    of = subject(data=HELD_OUT, **sections)
    found = finding(OVERFITTING, of, diagnosis__memorization=0.9, **changes)
    assert found.sign.flags == flags
    assert flags or "more images" in found.sign.advice


def test_reals_and_fakes_that_are_alike_say_nothing_of_held_out_ones():
    of = subject(data=HELD_OUT)
    ticks = history(of, diagnosis__memorization=0.9, diagnosis__separation=0.55)
    assert not findings(OVERFITTING, ticks, of)


def test_without_held_out_reals_signs_tell_after_some_epochs():
    of = subject(loss=LOGISTIC)
    found = finding(OVERFITTING, of, scores__real_sign=0.95)
    assert found.since == 5000
    assert "--validation_images" in found.sign.advice
    far = {"diagnosis__distance": 0.8, "diagnosis__average_distance": 0.8}
    assert not findings(OVERFITTING, history(of, scores__real_sign=0.95, **far), of)
    many = subject(num_images=20_000, loss=LOGISTIC)
    assert not findings(OVERFITTING, history(many, scores__real_sign=0.95), many)


def test_signs_of_differences_tell_nothing_of_overfitting():
    of = subject(loss={"loss": "rpgan"})
    assert not findings(OVERFITTING, history(of, scores__real_sign=0.95), of)


def test_a_finding_stays_while_its_figure_wavers_about_the_threshold():
    of = subject(loss=LOGISTIC)
    wavers = history(of, scores__real_sign=lambda kimg: 0.85 if kimg // 6 % 2 else 0.75)
    assert len(findings(OVERFITTING, wavers, of)) == 1


def test_fakes_that_are_all_alike():
    of = subject()
    found = finding(
        COLLAPSE,
        of,
        diagnosis__variety=lambda kimg: 0.9 if kimg < 45 else 0.05,
        diagnosis__similarity=0.97,
        diagnosis__real_similarity=0.3,
    )
    assert (
        found.sign.seen == "fakes vary 5% as much as reals (MS-SSIM of pairs 0.97, of reals 0.30)"
    )
    assert found.sign.flags == {"learning_rate": "0.001"}
    assert 45_000 < found.since <= 47_000


def test_a_few_kinds_of_fakes():
    found = finding(COLLAPSE, subject(), diagnosis__nearest=0.02)
    assert found.sign.seen.startswith("most fakes have a twin, 2% as far")


def test_fakes_of_a_class_that_are_alike():
    found = finding(CLASS_COLLAPSE, subject(), diagnosis__class_variety=0.1)
    assert found.sign.flags == {"generator_label_weight": "0.25"}
    unweighted = subject(loss={"generator_label_weight": 0.0})
    found = finding(CLASS_COLLAPSE, unweighted, diagnosis__class_variety=0.1)
    assert found.sign.flags == {"learning_rate": "0.001"}
    of = subject()
    everything = history(of, diagnosis__class_variety=0.1, diagnosis__variety=0.1)
    assert not findings(CLASS_COLLAPSE, everything, of)


def test_a_discriminator_that_learns_nothing():
    of = subject()
    found = findings(LEARNS_NOTHING, history(of, diagnosis__separation=0.5, **FAR), of)[0]
    assert found.since == 10_000
    assert found.sign.flags == {"learning_rate": "0.004"}


def test_fakes_as_good_as_reals_are_no_trouble():
    of = subject()
    assert not findings(LEARNS_NOTHING, history(of, diagnosis__separation=0.5), of)


def test_a_gradient_norm_that_does_not_rise():
    found = finding(LEARNS_NOTHING, subject(), loss__gradient_norm=0.2)
    assert "gradient norm does not rise from 0.2 to 1" in found.sign.seen
    of = subject()
    rising = history(of, loss__gradient_norm=lambda kimg: 0.01 * (kimg % 20))
    assert not findings(LEARNS_NOTHING, rising, of)


def test_a_loss_that_stays_while_fakes_come_no_nearer():
    of = subject(loss={"loss": "logistic", "r1_gamma": 0.1})
    stays = history(of, kimg=range(1, 21), loss__discriminator=1.3, **FAR)
    (found,) = findings(LEARNS_NOTHING, stays, of)
    assert "loss stays at 1.3, and fakes come no nearer" in found.sign.seen
    falls = history(of, kimg=range(1, 21), loss__discriminator=lambda k: 1.3 - 0.004 * k, **FAR)
    assert not findings(LEARNS_NOTHING, falls, of)
    later = history(of, kimg=range(41, 61), loss__discriminator=1.3, **FAR)
    assert not findings(LEARNS_NOTHING, later, of)


def test_a_penalty_is_the_reason_for_learning_nothing():
    of = subject()
    ticks = history(of, diagnosis__separation=0.5, loss__gradient_penalty=100.0)
    assert not findings(LEARNS_NOTHING, ticks, of)
    assert len(findings(PENALTY, ticks, of)) == 1


@pytest.mark.parametrize(
    ("sections", "flags"),
    [
        ({"optimizer": {"discriminator_steps": 3}}, {"discriminator_steps": "1"}),
        ({"loss": {"gradient_penalty_weight": 0.0}}, {"gradient_penalty_weight": "10"}),
        ({"loss": {"loss": "logistic", "r1_gamma": 0.0}}, {"r1_gamma": "10"}),
        ({"loss": {"loss": "lsgan"}}, {"learning_rate": "0.001"}),
    ],
)
def test_a_discriminator_that_learns_everything(sections, flags):
    of = subject(**sections)
    found = findings(LEARNS_EVERYTHING, history(of, diagnosis__separation=1.0, **FAR), of)[0]
    assert found.sign.flags == flags


def test_perfect_separation_is_no_trouble_while_fakes_come_nearer():
    of = subject()
    falling = {
        "diagnosis__distance": lambda kimg: 9 * 0.9**kimg,
        "diagnosis__average_distance": 9.0,
    }
    nearer = history(of, diagnosis__separation=1.0, **falling)
    near = history(of, diagnosis__separation=1.0)
    assert not findings(LEARNS_EVERYTHING, nearer, of)
    assert not findings(LEARNS_EVERYTHING, near, of)


@pytest.mark.parametrize(
    ("changes", "flags"),
    [
        ({"loss__gradient_penalty": 20.0}, {"gradient_penalty_weight": "1"}),
        ({"loss__gradient_norm": 3.0}, {"gradient_penalty_weight": "100"}),
        ({"scores__real": -30.0, "loss__gradient_penalty": 20.0}, {"gradient_penalty_weight": "1"}),
    ],
)
def test_a_penalty_of_wgan_gp_out_of_range(changes, flags):
    assert finding(PENALTY, subject(), **changes).sign.flags == flags


@pytest.mark.parametrize(
    ("loss", "flags"),
    [
        ({"loss": "logistic", "r1_gamma": 1e6}, {"r1_gamma": "10"}),
        ({"loss": "logistic", "r1_gamma_by_resolution": {4: 1e6, 8: 5.0}},
         {"r1_gamma_by_resolution": "4:10,8:5"}),
        ({"loss": "rpgan", "r1_gamma": 50.0, "r2_gamma": 40.0},
         {"r1_gamma": "0.00064", "r2_gamma": "0.00064"}),
    ],
)  # fmt: skip
def test_a_penalty_that_keeps_the_loss_at_chance(loss, flags):
    chance = math.log(4) if loss["loss"] == "logistic" else math.log(2)
    of = subject(loss=loss)
    found = finding(PENALTY, of, loss__discriminator=chance + 0.2, loss__gradient_penalty=0.2)
    assert found.sign.flags == flags
    ticks = history(of, loss__discriminator=chance, loss__gradient_penalty=0.2)
    assert not findings(PENALTY, ticks, of)


def test_a_moving_average_that_lags():
    found = finding(AVERAGE_LAGS, subject(), diagnosis__average_distance=0.6)
    assert "4.0 times as far" in found.sign.seen
    assert found.sign.flags == {"ema_half_life_kimg": "1", "ema_decay": "0.999"}
    settling = lambda kimg: 0.6 if kimg % 20 < 8 else 0.1  # noqa: E731
    of = subject()
    assert not findings(AVERAGE_LAGS, history(of, diagnosis__average_distance=settling), of)
    off = subject(optimizer={"ema_update": "off"})
    assert not findings(AVERAGE_LAGS, history(off, diagnosis__average_distance=0.6), off)


def course_of_distance(kimg):
    return 2.0 * 0.93 ** (kimg % 20 or 20)


def test_a_stage_that_ends_before_it_has_converged():
    of = subject()
    found = finding(
        UNCONVERGED,
        of,
        kimg=range(1, 56),
        diagnosis__distance=course_of_distance,
        diagnosis__average_distance=9.0,
    )
    assert found.since == 19_000  # after which no measurement of 4x4 has to come
    longer = {"stabilize_kimg": "40", "start_resolution": "4", "total_kimg": "100"}
    assert found.sign.flags == longer


@pytest.mark.parametrize("resolution", [8, 16, 64])
def test_later_stages_have_the_time_to_converge_too(tmp_path, resolution):
    of = subject(network={"resolution": resolution}, schedule={"total_kimg": 400.0})
    distance = {"diagnosis__distance": course_of_distance, "diagnosis__average_distance": 9.0}
    found = finding(UNCONVERGED, of, kimg=range(1, 21), **distance)
    tmp_path.joinpath("config.flags").write_text(to_flagfile(of.config))
    command = command_with(of.config, found.sign.flags, run=tmp_path, images_seen=20_000)
    (last,) = Schedule(of.config.schedule, resolution).phases[-1:]
    longer = config_of(*shlex.split(command[command.index("pgan-train") :])[1:])
    *others, new_last = Schedule(longer.schedule, resolution).phases
    assert [p.end - p.start for p in others if not p.fading] == [40_000] * (len(others) // 2)
    assert new_last.end - new_last.start == last.end - last.start


def test_a_run_that_ends_before_its_last_stage_has_converged():
    of = subject()
    ticks = history(of, diagnosis__distance=course_of_distance, diagnosis__average_distance=9.0)
    last = [t for t in ticks if t.images_seen > 40_000]
    (found,) = findings(UNCONVERGED, last, of)
    assert (found.since, found.sign.flags) == (59_000, {"total_kimg": "80"})


def test_a_noisy_distance_that_has_stopped_falling_has_converged():
    of = subject()
    noisy = lambda kimg: 0.2 + (0.1 if kimg % 2 else 0.0) - 0.001 * kimg  # noqa: E731
    ticks = history(of, diagnosis__distance=noisy, diagnosis__average_distance=9.0)
    assert not findings(UNCONVERGED, ticks, of)


def test_skipped_updates_that_become_more():
    of = subject()  # 100 updates of both networks a tick
    found = finding(NOT_FINITE, of, updates__discriminator_skipped=lambda kimg: kimg)
    assert "of updates are skipped" in found.sign.seen
    assert found.sign.flags == {"learning_rate": "0.001"}
    half = subject(run={"precision": "mixed_float16"}, network={"pixel_norm_epsilon": 1e-4})
    found = finding(NOT_FINITE, half, updates__discriminator_skipped=50)
    assert found.sign.flags == {"precision": "mixed_bfloat16"}


def test_skipped_updates_that_become_fewer_are_usual_in_float16():
    of = subject()
    for skipped in (lambda kimg: 64 * 0.5**kimg, lambda kimg: kimg % 5 == 0):
        assert not findings(NOT_FINITE, history(of, updates__discriminator_skipped=skipped), of)


def test_only_skipped_updates_are_looked_for_in_fades_and_where_losses_are_not_finite():
    of = subject()
    fade = history(of, kimg=range(21, 41), diagnosis__variety=0.0)
    diverged = history(of, kimg=range(41, 61), diagnosis__variety=0.0, loss__discriminator=None)
    for check in CHECKS:
        for ticks in (fade, diverged):
            expected = Verdict.HEALTHY if check is NOT_FINITE else Verdict.UNKNOWN
            assert check.verdict(ticks, of) is expected
