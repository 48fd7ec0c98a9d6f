"""The plan of a run: time and memory of each phase, estimated without running anything.

`dry_run.py` fills the same table with measurements. See docs/guide/planning.md. Needs no
TensorFlow.
"""

import os
from pathlib import Path

from pgan_tf.config import ScheduleConfig, TrainConfig
from pgan_tf.config.by_stage import describe_by_stage
from pgan_tf.config.phases import Schedule
from pgan_tf.distribution.cluster import VARIABLE, read_cluster
from pgan_tf.networks.cost import StepTimes
from pgan_tf.planning.cards import (
    CARDS,
    CPU,
    DEFAULT_CARD,
    Speed,
    compile_minutes,
    cpu_speed,
    find_card,
    model_of_machine,
)
from pgan_tf.planning.phase_table import PhaseRow, format_table
from pgan_tf.planning.so_far import SoFar, describe_time, read_so_far
from pgan_tf.planning.step_memory import peak_bytes
from pgan_tf.training.preflight import check_batches, fit_to_data
from tfrecords_tools.errors import UserError
from tfrecords_tools.format import open_pyramid
from tfrecords_tools.host import core_count

_NOTHING_YET = SoFar()


def plan(
    config: TrainConfig,
    *,
    replicas: int | None = None,
    device: str = "auto",
    tflops: float | None = None,
    root: Path = Path("/"),
) -> str:
    """Return the table of a run's phases, and remarks on where its numbers are from.

    Of a run that has begun, it is about what remains.

    Args:
      config: from flags and the run directory. Without data, images have three channels and no
        labels.
      replicas: number of replicas; None takes it from the flags, or else one.
      device: the GPU of each replica, one of `cards.CARDS`; `auto` for this machine's if it is
        listed, or else `cards.DEFAULT_CARD`; `cards.CPU` for this machine's cores. For a run that
        has begun, its own speed counts instead.
      tflops: 10^12 floating-point operations a second that a replica reaches, in place of a
        device's.
      root: of the file system in which this machine's GPU is looked for.

    Raises:
      UserError: neither data nor a resolution are given, or they fit neither each other nor the
        replicas.
    """
    run_dir = config.run.run_dir
    if config.data.data_dir:
        config = fit_to_data_dir(config)
    elif config.network.resolution is None:
        raise UserError("--plan needs --resolution or --data_dir, to know where the run ends")
    schedule = config.lay_out()
    # This machine's number of GPUs does not count: plans are often for another one.
    replicas = replicas or replicas_by_flags(config)
    check_batches(schedule, config.network, replicas)
    so_far = read_so_far(run_dir, schedule)
    speed, source = _choose_speed(config, schedule, replicas, device, tflops, root)
    rows = estimate(schedule, config, replicas=replicas, speed=speed, so_far=so_far)
    time = describe_time(rows, so_far, schedule, run_dir)
    if not rows:
        return time
    if so_far.measured:
        source = (
            "this run's own, of the last tick of each phase, here marked measured; the others in "
            "proportion to their multiplications"
        )
    remarks = [time, f"seconds: {source}", *_remarks(config, schedule, speed)]
    return "\n".join([headline(config, replicas), "", format_table(rows), "", *remarks])


def _choose_speed(
    config: TrainConfig,
    schedule: Schedule,
    replicas: int,
    device: str,
    tflops: float | None,
    root: Path,
) -> tuple[Speed, str]:
    """Return the speed of a replica, and where it is from; see `plan`."""
    beside = "without exchanging gradients"
    if tflops is not None:
        return Speed(tflops), f"from multiplications at {tflops:g} TFLOP/s a replica, {beside}"
    if device == CPU:
        cores = core_count()
        return cpu_speed(cores, replicas), (
            f"as two CPU cores reached at 1024x1024, for the {cores} of this machine "
            f"(--plan_device={CPU})"
        )
    model = model_of_machine(root) if device == "auto" else None
    found = find_card(model) if model else None
    card = found or CARDS[DEFAULT_CARD if device == "auto" else device]
    source = f"as on NVIDIA's {card.name} (--plan_device), {card.source}, {beside}"
    if card.name != "V100" and (minutes := compile_minutes(config, schedule.phases)):
        source += f"; compiling takes about {minutes:.0f} minutes more"
    if model:
        listed = "is listed" if found else f"is not listed, only {', '.join(CARDS)}"
        source += f"; this machine's {model} {listed}"
    elif device == "auto":
        source += f"; this machine has no NVIDIA GPU (--plan_device={CPU} assumes its cores)"
    return card.speed(config), source


def _remarks(config: TrainConfig, schedule: Schedule, speed: Speed) -> list[str]:
    """Return lines on the other columns of the table, and on settings that have none."""
    remarks = describe_by_stage(config, schedule)
    if config.augment.augment != "none" and not speed.cores:
        remarks.append("--augment: its time is not counted, which was measured on CPUs alone")
    if ramps := _ramps(config.schedule):
        remarks.append(f"learning rate: {ramps}")
    where = "of all replicas together" if shares_memory(config) else "of each device"
    remarks.append(f"memory: estimated from the layers, {where}; TensorFlow itself comes on top")
    return [*remarks, "--dry_run measures both"]


def shares_memory(config: TrainConfig) -> bool:
    """Return whether all replicas share one memory, as logical CPUs do."""
    return config.run.logical_cpus > 0


def _ramps(config: ScheduleConfig) -> str:
    """Describe the parts of the run at other learning rates than the table's; empty: none."""
    ramps = []
    if config.rampup_kimg:
        ramps.append(f"rises to the table's over the first {config.rampup_kimg:g} kimg")
    if config.rampdown_kimg:
        ramps.append(f"falls to 0 over the last {config.rampdown_kimg:g}")
    return ", ".join(ramps)


def fit_to_data_dir(config: TrainConfig) -> TrainConfig:
    """Open the data; return the configuration with their resolution, channels and labels.

    Raises:
      UserError: there are no such data, or they do not fit the configuration.
    """
    if "://" not in config.data.data_dir:
        return fit_to_data(config, open_pyramid(config.data.data_dir))
    from pgan_tf.data.dataset import open_data  # imports TensorFlow, which reads from URLs

    return fit_to_data(config, open_data(config))


def headline(config: TrainConfig, replicas: int) -> str:
    """Return one line about the networks, and a warning if training ends below their resolution."""
    network = config.network
    schedule = config.lay_out()
    final, last = network.final_resolution, schedule.phases[-1].resolution
    labels = f"{network.label_size} labels" if network.label_size else "no labels"
    line = (
        f"to {network.size_text(final)}, {network.channels} channel(s), {labels}, "
        f"{config.run.precision}, on {replicas} replica(s)"
    )
    if last < final:
        line += f"; --total_kimg={schedule.total_images / 1000:g} ends at {network.size_text(last)}"
    return line


def replicas_by_flags(config: TrainConfig) -> int:
    """Return the number of replicas that flags and TF_CONFIG tell, or else 1."""
    if config.run.distribution == "one_device":
        return 1
    if config.run.distribution == "multi_worker":
        return read_cluster().count if os.environ.get(VARIABLE) else 1
    return max(1, config.run.logical_cpus)


def estimate(
    schedule: Schedule,
    config: TrainConfig,
    *,
    replicas: int,
    speed: Speed,
    so_far: SoFar = _NOTHING_YET,
) -> list[PhaseRow]:
    """Return the rows of all phases that remain, from formulas.

    Args:
      schedule: the run's.
      config: fitted to the data, if there are any.
      replicas: number of replicas that batches are split over.
      speed: of a replica. Not used where something was measured.
      so_far: the part of the run that is done.
    """
    step_times = StepTimes(config)
    for phase, seconds_per_image in so_far.measured:
        step_times.add(phase, seconds_per_image)
    measured_phases = {phase.index for phase, _ in so_far.measured}
    rows = []
    for phase in schedule.phases_from(so_far.images_seen):
        if so_far.measured:
            seconds = step_times.seconds(phase)
        else:
            seconds = speed.seconds(config, phase, replicas=replicas)
        peak = peak_bytes(
            config, phase.resolution, phase.batch_size // replicas, fading=phase.fading
        )
        rows.append(
            PhaseRow(
                phase,
                replicas,
                seconds,
                peak * replicas if shares_memory(config) else peak,
                phase.batch_size,
                note="measured" if phase.index in measured_phases else "",
                images_seen=so_far.images_seen,
            )
        )
    return rows
