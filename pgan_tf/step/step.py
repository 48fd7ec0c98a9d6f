"""The training step: one iteration, or several, as one graph over all replicas."""

import tensorflow as tf

from pgan_tf.config import FULL_STEP, StepKind, TrainConfig
from pgan_tf.distribution.strategy import local_replicas
from pgan_tf.step.compilation import Compilation, choose_compilation
from pgan_tf.step.inputs import IterationInputs, StepInputs
from pgan_tf.step.iteration import Iteration
from pgan_tf.step.outputs import StepResult, reduce_outputs, scalar_names
from pgan_tf.step.program import Programs
from pgan_tf.step.train_state import TrainState


class TrainStep:
    """Trains batches at one stage: a call runs one iteration or several, in a loop in the graph.

    It learns the same, up to rounding, whatever the number of replicas: random numbers are drawn
    for the global batch, of which each replica takes its samples.

    Args:
      state: networks, optimizers and averages, which it updates.
      config: with channels, labels and resolution filled in (`TrainConfig.for_data`).
      strategy: of the replicas.
      resolution: of the stage.
      fading: whether the stage fades in, so that alpha and the lower resolution take part.
      kind: of the iterations.

    Attributes:
      graph: the `tf.function` of a call, from `StepInputs` to `StepResult.tensor`.
    """

    def __init__(
        self,
        state: TrainState,
        config: TrainConfig,
        strategy: tf.distribute.Strategy,
        *,
        resolution: int,
        fading: bool,
        kind: StepKind = FULL_STEP,
    ):
        self._state, self._strategy = state, strategy
        config = config.at_stage(resolution)
        self._programs = Programs()
        compilation = choose_compilation(config, replicas=strategy.num_replicas_in_sync)
        self._iteration = Iteration(
            state,
            config,
            resolution=resolution,
            fading=fading,
            kind=kind,
            compilation=compilation,
            programs=self._programs,
            local_replicas=local_replicas(strategy),
        )
        self._names = scalar_names(config, kind)
        is_whole = compilation is Compilation.WHOLE
        # The same program whatever the length of a call, so that a phase compiles one.
        self._iterate = (
            self._programs.compiled(self._iterate_once) if is_whole else self._iterate_once
        )
        self.graph = tf.function(self._run_all, autograph=False)

    def __call__(self, inputs: StepInputs) -> StepResult:
        """Run a call's iterations; the result is not waited for.

        Args:
          inputs: of each replica.
        """
        return StepResult(self._names, self.graph(inputs))

    def prepare(self, inputs: StepInputs) -> None:
        """Have TensorFlow build the graph and make it ready, without running an iteration.

        Args:
          inputs: of each replica, of the shapes of later calls and any values.
        """
        self.graph(inputs._replace(count=tf.constant(0)))

    def compile_ahead(self) -> None:
        """Have XLA compile what the prepared graph runs, which it does in the first call otherwise.

        Other training steps of the same state may run meanwhile. It takes the memory of an
        iteration, and of a second state.
        """
        self._programs.compile_ahead(
            of_replica
            for variable in self._state.variables().values()
            for of_replica in self._strategy.experimental_local_results(variable)
        )

    def _run_all(self, inputs: StepInputs) -> tf.Tensor:
        """`[count n+f]`: the outputs of each iteration."""
        # The loop is around the replicas, so that the graph holds, and XLA compiles, one iteration.
        # TensorFlow counts on the host, which starts the next iteration before the device has ended
        # this one; a loop compiled by XLA would wait, as its length is not known.
        _, outputs = tf.while_loop(
            lambda index, _: index < inputs.count,
            lambda index, outputs: (index + 1, outputs.write(index, self._run(inputs, index))),
            [0, tf.TensorArray(tf.float32, size=inputs.count)],
            parallel_iterations=1,
        )
        return outputs.stack()

    def _run(self, inputs: StepInputs, index: tf.Tensor | int) -> tf.Tensor:
        """`[n+f]`: the outputs of one iteration."""
        outputs = self._strategy.run(self._run_replica, args=(inputs, index))
        # They are the same on all replicas.
        return self._strategy.experimental_local_results(outputs)[0]

    def _run_replica(self, inputs: StepInputs, index: tf.Tensor | int) -> tf.Tensor:
        """`[n+f]`: the outputs of one iteration, on one replica."""
        return self._iterate(inputs.at(index))

    def _iterate_once(self, inputs: IterationInputs) -> tf.Tensor:
        return reduce_outputs(self._names, self._iteration(inputs), inputs.stop_flags)
