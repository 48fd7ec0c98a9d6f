import pytest

from pgan_tf.config import (
    AugmentConfig,
    DataConfig,
    LossConfig,
    NetworkConfig,
    OptimizerConfig,
    RunConfig,
    ScheduleConfig,
    TrainConfig,
)
from pgan_tf.config.network import full_stddev_group


def frozen(count, *, resolution, start_resolution):
    return TrainConfig(
        optimizer=OptimizerConfig(freeze_discriminator=count),
        run=RunConfig(init_from="runs/other"),
        schedule=ScheduleConfig(start_resolution=start_resolution),
    ).for_data(resolution=resolution, channels=3, label_size=0)


def test_feature_maps_halve_with_resolution_up_to_the_most():
    config = NetworkConfig(resolution=1024)
    assert [config.features(s) for s in range(10)] == [512] * 5 + [256, 128, 64, 32, 16]
    assert config.resolved_latent_size == 512
    assert NetworkConfig(fmap_decay=0.5, fmap_base=100).features(1) == 70


@pytest.mark.parametrize(
    ("group_size", "samples", "expected"),
    [(4, 16, 4), (4, 3, 3), (4, 1, 1), (0, 16, 16), (4, 0, 1), (0, 0, 1)],
)
def test_a_full_group_has_all_samples_where_they_are_too_few(group_size, samples, expected):
    assert full_stddev_group(group_size, samples) == expected


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NetworkConfig(resolution=100), "power of two from 4, such as 64 or 128.*: 100"),
        (lambda: NetworkConfig(resolution=2), "power of two from 4, such as 4. Received: 2"),
        (lambda: NetworkConfig(fmap_max=0), "fmap_max must be at least 1. Received: 0"),
        (lambda: NetworkConfig(resolution=1024, fmap_base=64), "feature map at 1024x1024"),
        (lambda: NetworkConfig(fmap_decay=2000.0), "fmap_decay must be at most 8.0"),
        (lambda: NetworkConfig(base=(8, 12)), "base must be .* Received: 12x8"),
        (lambda: NetworkConfig(channels=5), "channels must be 1 to 4. Received: 5"),
        (lambda: ScheduleConfig(start_resolution=5), "start_resolution must be a power of two"),
        (lambda: ScheduleConfig(fade_kimg=-1), "fade_kimg must be at least 0. Received: -1"),
        (lambda: ScheduleConfig(fade_kimg=float("nan")), "fade_kimg must be at least 0"),
        (lambda: ScheduleConfig(total_kimg=0), "total_kimg must be above 0. Received: 0"),
        (lambda: ScheduleConfig(batch_size=0), "batch_size must be at least 1"),
        (lambda: RunConfig(steps_per_call=0), "steps_per_call must be at least 1. Received: 0"),
        (lambda: ScheduleConfig(batch_size_by_resolution={7: 8}), "power of two.* Received: 7"),
        (lambda: ScheduleConfig(learning_rate_by_resolution={8: 0}), "at 8 must be above 0"),
        (
            lambda: LossConfig(loss="hinge"),
            "loss must be one of wgan_gp, lsgan, logistic, rpgan. Received: hinge",
        ),
        (lambda: LossConfig(gradient_penalty_target=0), "target must be above 0"),
        (
            lambda: LossConfig(loss="logistic", r1_gamma_by_resolution={7: 1.0}),
            "r1_gamma_by_resolution must be a power of two.* Received: 7",
        ),
        (
            lambda: LossConfig(loss="rpgan", r2_gamma_by_resolution={8: -1.0}),
            "r2_gamma_by_resolution at 8 must be at least 0. Received: -1.0",
        ),
        (
            lambda: OptimizerConfig(adam_beta2_by_resolution={8: 1.0}),
            "adam_beta2_by_resolution at 8 must be from 0 up to, not including, 1. Received: 1.0",
        ),
        (
            lambda: OptimizerConfig(adam_beta2_by_resolution={6: 0.9}),
            "adam_beta2_by_resolution must be a power of two.* Received: 6",
        ),
        (lambda: AugmentConfig(augment="all"), "augment must be one of none, .*Received: all"),
        (lambda: AugmentConfig(augment="fixed", augment_p=1.5), "augment_p must be from 0 to 1"),
        *(
            (
                lambda text=text: AugmentConfig(augment="fixed", augment_pipe=text),
                f"augment_pipe must be letters of bgcfno, each at most once. Received: {text}",
            )
            for text in ("", "bgx", "bb")
        ),
        (
            lambda: AugmentConfig(augment="diffaugment", augment_policy="color,shear"),
            "augment_policy must be one of color, translation, cutout. Received: shear",
        ),
        (
            lambda: AugmentConfig(augment="diffaugment", augment_policy=","),
            "augment_policy must name an operation",
        ),
        (lambda: OptimizerConfig(ema_decay=1.0), "ema_decay must be from 0 .* Received: 1.0"),
        *(
            (lambda text=text: OptimizerConfig(ema_lengths=text), f"ema_lengths .*: {text}$")
            for text in ("0.05,", "0", "0.29", "-0.1", "nan", "0.05,0.050", "short", "0.05;0.1")
        ),
        (lambda: OptimizerConfig(ema_rampup=-1), "ema_rampup must be at least 0. Received: -1"),
        (lambda: RunConfig(seed=-1), "seed must be from 0"),
        *(
            (lambda text=text: RunConfig(profile=text), f"profile must be START:END.*: {text}")
            for text in ("20", "30:20", "0:5", "a:b", "-1:5", "1:2:3", "1.5:2")
        ),
        (
            lambda: ScheduleConfig(rampup_kimg=40, rampdown_kimg=10, total_kimg=45),
            "rampdown_kimg must leave 40 of 45 kimg to --rampup_kimg. Received: 10",
        ),
        (lambda: RunConfig(precision="float64"), "precision must be one of .*: float64"),
        (lambda: RunConfig(tick_kimg=0), "tick_kimg must be above 0"),
    ],
)
def test_values_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: NetworkConfig(minibatch_features="none", stddev_group_size=8),
            "stddev_group_size has no effect with --minibatch_features=none. Received: 8",
        ),
        (
            lambda: NetworkConfig(discrimination_kernels=10),
            "discrimination_kernels has no effect without --minibatch_features=discrimination",
        ),
        (
            lambda: NetworkConfig(generator_activation="relu", generator_leak=0.3),
            "generator_leak has no effect with --generator_activation=relu",
        ),
        (lambda: LossConfig(loss="lsgan", gradient_penalty_target=750), "target has no effect"),
        (
            lambda: TrainConfig(augment=AugmentConfig(augment="ada")),
            "validation_images must be above 0 with --augment=ada and --loss=wgan_gp, .* such as "
            "--validation_images=200. Received: 0",
        ),
        (
            lambda: TrainConfig(
                loss=LossConfig(loss="logistic"),
                augment=AugmentConfig(augment="ada", augment_signal="r_v"),
            ),
            "validation_images must be above 0 with --augment_signal=r_v, which tells",
        ),
        (
            lambda: TrainConfig(augment=AugmentConfig(augment="ada", augment_signal="r_t")),
            "augment_signal must be auto or r_v with --loss=wgan_gp, .* Received: r_t",
        ),
        (
            lambda: TrainConfig(
                data=DataConfig(validation_images=200),
                network=NetworkConfig(discriminator_norm="batch"),
                augment=AugmentConfig(augment="ada"),
            ),
            "discriminator_norm must be none or layer with --augment_signal=r_v, .* batch",
        ),
        (
            lambda: AugmentConfig(augment="fixed", augment_signal="r_v"),
            "augment_signal has no effect without --augment=ada",
        ),
        (
            lambda: AugmentConfig(augment="fixed", augment_kimg=100),
            "augment_kimg has no effect without --augment=ada",
        ),
        (
            lambda: AugmentConfig(augment="ada", augment_p=0.4),
            "augment_p has no effect without --augment=fixed",
        ),
        (lambda: AugmentConfig(augment="ada", augment_target=1), "target must be between -1 and 1"),
        (lambda: AugmentConfig(augment_p=0.4), "augment_p has no effect without --augment=fixed"),
        (
            lambda: AugmentConfig(augment="fixed", augment_policy="color"),
            "augment_policy has no effect without --augment=diffaugment",
        ),
        (lambda: LossConfig(r1_gamma=1), "r1_gamma has no effect with --loss=wgan_gp"),
        (
            lambda: LossConfig(penalty_interval=4),
            "penalty_interval must be 1 with --loss=wgan_gp, .* part of the loss. Received: 4",
        ),
        (
            lambda: LossConfig(loss="logistic", r1_gamma=0, penalty_interval=4),
            "penalty_interval has no effect without a gradient penalty",
        ),
        (
            lambda: LossConfig(loss="lsgan", r1_gamma_by_resolution={8: 2.0, 4: 1.0}),
            "r1_gamma_by_resolution has no effect with --loss=lsgan. Received: 4:1.0,8:2.0",
        ),
        (
            lambda: LossConfig(r2_gamma_by_resolution={8: 2.0}),
            "r2_gamma_by_resolution has no effect with --loss=wgan_gp. Received: 8:2.0",
        ),
        (lambda: LossConfig(r2_gamma=0), "r2_gamma has no effect with --loss=wgan_gp"),
        (
            lambda: OptimizerConfig(ema_half_life_kimg=10, ema_decay=0.9),
            "ema_decay has no effect with --ema_half_life_kimg",
        ),
        (
            lambda: OptimizerConfig(ema_update="off", ema_decay=0.9),
            "ema_decay has no effect with --ema_update=off",
        ),
        (
            lambda: TrainConfig(optimizer=OptimizerConfig(freeze_discriminator=1)),
            "freeze_discriminator has no effect without --init_from. Received: 1",
        ),
        (
            lambda: frozen(1, resolution=16, start_resolution=8),
            "freeze_discriminator must be 0 in a run that grows, .*=8 to 16, .* Received: 1",
        ),
        (
            lambda: frozen(3, resolution=16, start_resolution=16),
            "freeze_discriminator must be at most 2, the resolutions above 4x4. Received: 3",
        ),
        (
            lambda: OptimizerConfig(ema_update="off", ema_rampup=0.05),
            "ema_rampup has no effect with --ema_update=off",
        ),
        (
            lambda: OptimizerConfig(simultaneous_updates=True, discriminator_steps=5),
            "discriminator_steps must be 1 with --simultaneous_updates.*Received: 5",
        ),
        (
            lambda: ScheduleConfig(total_kimg=10, rampup_kimg=6, rampdown_kimg=5),
            "rampdown_kimg must leave 6 of 10 kimg to --rampup_kimg. Received: 5",
        ),
        (
            lambda: LossConfig(gradient_penalty_weight=0, gradient_penalty_target=750),
            "gradient_penalty_target has no effect without a gradient penalty",
        ),
        (
            lambda: LossConfig(loss="logistic", r1_gamma=0, gradient_penalty_resolution="stage"),
            "gradient_penalty_resolution has no effect without a gradient penalty",
        ),
        (
            lambda: TrainConfig(data=DataConfig(use_labels=False), loss=LossConfig(label_weight=2)),
            "label_weight has no effect with --nouse_labels. Received: 2",
        ),
        (
            lambda: TrainConfig(
                data=DataConfig(dequantize=True), network=NetworkConfig(output_activation="tanh")
            ),
            "dequantize must be off with --output_activation=tanh",
        ),
        (
            lambda: NetworkConfig(minibatch_features="discrimination", discriminator_norm="batch"),
            "discriminator_norm must be none or layer with --minibatch_features=discrimination",
        ),
        (
            lambda: TrainConfig(
                network=NetworkConfig(generator_norm="batch"), run=RunConfig(jit_compile="on")
            ),
            "jit_compile must be auto or off with batch norm",
        ),
        (
            lambda: TrainConfig(
                network=NetworkConfig(stddev_group_size=0), run=RunConfig(microbatches=4)
            ),
            "microbatches must be auto or off with batch norm",
        ),
        (
            lambda: RunConfig(microbatches=0),
            "microbatches must be at least 1. Received: 0",
        ),
        (
            lambda: TrainConfig(network=NetworkConfig(discriminator_noise=0.2)),
            "discriminator_noise must be 0 without --loss=lsgan",
        ),
    ],
)
def test_what_would_have_no_effect_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_start_above_the_end_is_refused():
    with pytest.raises(ValueError, match="start_resolution must not be above resolution 8"):
        TrainConfig(
            network=NetworkConfig(resolution=8), schedule=ScheduleConfig(start_resolution=16)
        )


def test_the_data_decides_resolution_channels_and_label_size():
    config = TrainConfig().for_data(resolution=64, channels=1, label_size=10)
    assert (config.network.resolution, config.network.channels) == (64, 1)
    assert config.network.label_size == 10


def test_a_resolution_below_the_datas_stays_and_labels_can_be_left_out():
    config = TrainConfig(data=DataConfig(use_labels=False), network=NetworkConfig(resolution=32))
    config = config.for_data(resolution=64, channels=3, label_size=10)
    assert (config.network.resolution, config.network.label_size) == (32, 0)


def test_a_resolution_above_the_datas_is_refused():
    config = TrainConfig(network=NetworkConfig(resolution=128))
    with pytest.raises(ValueError, match="must not be above the data's 64. Received: 128"):
        config.for_data(resolution=64, channels=3, label_size=0)


def test_steps_to_profile_are_two_numbers():
    assert RunConfig(profile="20:30").profile_steps == (20, 30)
    assert RunConfig().profile_steps is None


def test_a_run_of_no_images_is_refused():
    with pytest.raises(ValueError, match=r"total_kimg must be at least 0.001. Received: 0.0004"):
        ScheduleConfig(total_kimg=0.0004)
