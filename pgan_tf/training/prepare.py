"""The start-up of a run: data, workers, devices and schedule, in the order that works."""

import dataclasses

import keras
import tensorflow as tf
from absl import logging

from pgan_tf.config import TrainConfig
from pgan_tf.config.by_stage import describe_by_stage
from pgan_tf.config.phases import Schedule
from pgan_tf.data.dataset import describe_stream, open_data
from pgan_tf.distribution.cluster import ALONE, Cluster, read_cluster
from pgan_tf.distribution.devices import set_tf32
from pgan_tf.distribution.strategy import device_names, make_strategy
from pgan_tf.distribution.unused_gpu import warn_of_unused_gpu
from pgan_tf.distribution.xla_environment import set_up_xla
from pgan_tf.step.microbatches import set_up_threads
from pgan_tf.training.preflight import check_batches, check_scored_images, fit_to_data
from tfrecords_tools.files import expand_home
from tfrecords_tools.format import Pyramid
from tfrecords_tools.printable import say


@dataclasses.dataclass(frozen=True)
class PreparedRun:
    """A configuration with the data, workers and devices that it has been fitted to.

    Attributes:
      config: the configuration, with the data's resolution, channels and labels filled in.
      pyramid: the data, opened.
      schedule: the phases of the run.
      cluster: the workers; `cluster.ALONE` for a single process.
      strategy: the replicas.
    """

    config: TrainConfig
    pyramid: Pyramid
    schedule: Schedule
    cluster: Cluster
    strategy: tf.distribute.Strategy

    @property
    def replicas(self) -> int:
        """The number of replicas, of all workers together."""
        return self.strategy.num_replicas_in_sync


def prepare_run(config: TrainConfig) -> PreparedRun:
    """Open the data, connect the workers, start TensorFlow, and check that everything fits.

    Training and dry runs share this function, because the order matters:

    1. The cluster is read and the data is opened first. Mistakes in them are found within
       milliseconds, before this worker keeps the others waiting.
    2. Threads are set up before the strategy is made, which starts TensorFlow's runtime: the size
       of its thread pools is fixed from then on.
    3. The strategy is made before any tensor, because logical CPUs and the connection to other
       workers can't be added to a runtime that has started. With several workers, this waits for
       all of them.
    4. Batches are checked as soon as the number of replicas is known.
    5. Seeds and determinism are set before networks are made.

    The caller continues in this order: it handles signals only now, because
    MultiWorkerMirroredStrategy has replaced the handler of SIGTERM by its own; then it calls
    `agreement.check_same_run`, which waits for all workers, before anything is written.

    Args:
      config: the configuration as flags and the run directory give it, or one fitted to the data.

    Raises:
      UserError: data, flags, TF_CONFIG or devices are wrong, or do not fit each other.
    """
    config = with_home_directory(config)
    is_one_of_several = config.run.distribution == "multi_worker"
    cluster = read_cluster() if is_one_of_several else ALONE
    pyramid = open_data(config)
    config = fit_to_data(config, pyramid)
    schedule = config.lay_out()
    set_up_xla(config.run.xla_cache_dir)
    set_up_threads(config)
    if is_one_of_several:
        say(f"worker {cluster.index} of {cluster.count}: waiting for the others")
    strategy = make_strategy(
        config.run.distribution, logical_cpus=config.run.logical_cpus, cluster=cluster
    )
    if not config.run.logical_cpus:
        warn_of_unused_gpu()
    check_batches(schedule, config.network, strategy.num_replicas_in_sync)
    check_scored_images(config, schedule, strategy.num_replicas_in_sync)
    set_up_tensorflow(config)
    return PreparedRun(config, pyramid, schedule, cluster, strategy)


def with_home_directory(config: TrainConfig) -> TrainConfig:
    """Return the configuration with the home directory in place of the `~` of its paths.

    Raises:
      UserError: there is no such user.
    """
    sections = {}
    for field in dataclasses.fields(config):
        section = getattr(config, field.name)
        texts = {k: v for k, v in vars(section).items() if isinstance(v, str)}
        sections[field.name] = dataclasses.replace(
            section, **{name: expand_home(text) for name, text in texts.items()}
        )
    return dataclasses.replace(config, **sections)


def set_up_tensorflow(config: TrainConfig) -> None:
    """Set seeds, arithmetic and graph optimization of the process, before networks are made."""
    keras.utils.set_random_seed(config.run.seed)
    if config.run.deterministic:
        tf.config.experimental.enable_op_determinism()
    set_tf32(config.run.tf32)
    # TensorFlow's remapper fuses leaky ReLU into convolutions, which slows them down by more than
    # it saves, and warns about every graph of some networks.
    tf.config.optimizer.set_experimental_options({"remapping": False})


def announce(run: PreparedRun, images_seen: int) -> None:
    """Print the run's data, devices and progress; warn if it ends before its final resolution.

    Args:
      run: the run about to be trained.
      images_seen: real images shown so far.
    """
    config, pyramid = run.config, run.pyramid
    final = config.network.final_resolution
    labels = f", {config.network.label_size} labels" if config.network.label_size else ""
    held_out = config.data.validation_images
    held = f" ({held_out} held out)" if held_out else ""
    total = f"{config.schedule.total_kimg:g} kimg"
    verb = "continuing" if images_seen else "starting"
    say(
        f"{pyramid.location}: {pyramid.count} images{held}, {pyramid.channels} channel(s){labels}",
        *describe_stream(pyramid, final).splitlines(),
        f"to {config.network.size_text(final)} on {', '.join(device_names(run.strategy))}, "
        f"{config.run.precision}; {verb} at {images_seen / 1000:.1f} of {total}",
    )
    for line in describe_by_stage(config, run.schedule):
        say(line)
    last = run.schedule.phases[-1].resolution
    if last < final:
        logging.warning(
            "--total_kimg=%s ends at %dx%d, before %dx%d begins",
            total,
            last,
            last,
            2 * last,
            2 * last,
        )
