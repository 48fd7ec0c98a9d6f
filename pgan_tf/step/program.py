"""XLA programs: functions that TensorFlow has XLA compile, under names that last.

TensorFlow looks for what it has compiled by a function's name, in the process and in its persistent
cache, and numbers functions in the order in which they are made. So a run that is continued would
find nothing. Here a function is named after its content. And it can be called with variables other
than its own, which compiles it while training uses its own.
"""

import concurrent.futures
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

# Attributes that hold numbers of functions, and have no part in the computation.
_NUMBERED = ("_gradient_op_type", "forward_function_name", "backward_function_name")
_HEX_DIGITS = 16


class Programs:
    """The programs that some graphs run, on one device or several."""

    def __init__(self) -> None:
        """Hold none."""
        self._programs: list[_Program] = []

    def compiled(self, compute: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of tensors as one program, compiled when it is first run.

        Args:
          compute: takes and returns tensors, or None, in any structure. Call the result in graphs
            only.
        """
        function = tf.function(compute, autograph=False, jit_compile=True)

        def call(*args: Any) -> Any:
            concrete = function.get_concrete_function(*args)
            given = [x for x in tf.nest.flatten(args) if x is not None]
            program = _Program(concrete, [*given, *concrete.captured_inputs])
            self._programs.append(program)
            results = iter(program.call(program.tensors))
            structure = concrete.structured_outputs
            flat = [None if x is None else next(results) for x in tf.nest.flatten(structure)]
            return tf.nest.pack_sequence_as(structure, flat)

        return call

    def compile_ahead(self, variables: Iterable[tf.Variable]) -> None:
        """Compile the programs of all graphs that have been traced, by running each on zeros.

        Variables of zeros, freed at once, take the place of others, so nothing is changed. Nor does
        anything wait, though TensorFlow locks a program's variables while it compiles it.

        Args:
          variables: those that the programs use, and any others.
        """
        by_handle = {id(variable.handle): variable for variable in variables}
        devices = len({program.device for program in self._programs})
        # At the same time on all devices, as in training.
        with concurrent.futures.ThreadPoolExecutor(max(1, devices)) as pool:
            for done in [pool.submit(p.run_on_zeros, by_handle) for p in self._programs]:
                done.result()


class _Program:
    """A program as one graph calls it.

    Attributes:
      tensors: its arguments in the graph, or what the graph has captured as such.
      device: of the call.
    """

    def __init__(self, concrete: Any, tensors: Sequence[tf.Tensor]):
        """Take a `ConcreteFunction`, and its arguments, those that it has captured included."""
        self.tensors = tensors
        self._name, definitions = _named_by_content(concrete)
        self._inputs = [tf.TensorSpec(x.shape, x.dtype) for x in concrete.inputs]
        self._outputs = [tf.TensorSpec(x.shape, x.dtype) for x in concrete.outputs]
        self._library = tf.compat.v1.GraphDef()
        self._library.versions.producer = tf.version.GRAPH_DEF_VERSION
        self._library.library.function.extend(definitions)
        self.device = ""

    def call(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Call the program in the graph that is being traced; note the device it is placed on."""
        with tf.init_scope():
            # Graphs are traced with the functions that they hold, but run with those of eager mode.
            tf.graph_util.import_graph_def(self._library)
        graph = tf.compat.v1.get_default_graph()
        results = tf.graph_util.import_graph_def(
            self._graph_of_a_call(),
            {f"input_{index}:0": graph.capture(tensor) for index, tensor in enumerate(tensors)},
            [f"call:{index}" for index in range(len(self._outputs))],
            name="program",
        )
        for result, spec in zip(results, self._outputs, strict=True):
            result.set_shape(spec.shape)
        self.device = results[0].op.device
        return results

    def _graph_of_a_call(self) -> tf.compat.v1.GraphDef:
        graph = tf.compat.v1.GraphDef()
        graph.CopyFrom(self._library)
        call = graph.node.add(name="call", op="StatefulPartitionedCall")
        for index, spec in enumerate(self._inputs):
            argument = graph.node.add(name=f"input_{index}", op="Placeholder")
            argument.attr["dtype"].type = spec.dtype.as_datatype_enum
            call.input.append(argument.name)
        call.attr["Tin"].list.type.extend(spec.dtype.as_datatype_enum for spec in self._inputs)
        call.attr["Tout"].list.type.extend(spec.dtype.as_datatype_enum for spec in self._outputs)
        call.attr["f"].func.name = self._name
        call.attr["_XlaMustCompile"].b = True
        return graph

    def run_on_zeros(self, by_handle: Mapping[int, tf.Variable]) -> None:
        """Run the program by itself, with zeros for all of its arguments.

        Args:
          by_handle: the variables among its arguments by the `id` of their handles.
        """
        device = self.device
        with tf.device(device):
            variables = [
                _zeros_like(by_handle[id(tensor)])
                for tensor in self.tensors
                if tensor.dtype == tf.resource
            ]
            handles = iter(variables)
            zeros = [
                next(handles).handle
                if spec.dtype == tf.resource
                else tf.zeros(spec.shape, spec.dtype)
                for spec in self._inputs
            ]
        # In a graph, as in training: TensorFlow names what it compiles in eager mode otherwise.
        run = tf.function(lambda *tensors: self._call_on(device, tensors), autograph=False)
        run.get_concrete_function(*zeros)(*zeros)

    def _call_on(self, device: str, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        with tf.device(device):
            return self.call(tensors)


def _zeros_like(variable: tf.Variable) -> tf.Variable:
    return tf.Variable(tf.zeros(variable.shape, variable.dtype), trainable=False)


def _named_by_content(concrete: Any) -> tuple[str, list[Any]]:
    """Return a function's new name, and the definitions of it and of all that it calls.

    Equal functions have equal names in every process, and different ones do not.
    """
    definitions = {f.signature.name: f for f in concrete.graph.as_graph_def().library.function}
    main = concrete.function_def
    definitions[main.signature.name] = main
    renamed: dict[str, Any] = {}

    def rename(name: str) -> str:
        if name not in renamed:
            definition = type(main)()
            definition.CopyFrom(definitions[name])
            _strip_numbers(definition)
            for called in _called(definition):
                called.name = rename(called.name)
            definition.signature.name = ""
            content = definition.SerializeToString(deterministic=True)
            plain = re.sub(r"^__inference_|_\d+$", "", name)
            digest = hashlib.sha256(content).hexdigest()[:_HEX_DIGITS]
            definition.signature.name = f"{plain}_{digest}"
            renamed[name] = definition
        return renamed[name].signature.name

    return rename(main.signature.name), list(renamed.values())


def _called(definition: Any) -> Iterator[Any]:
    """Yield each mention of another function in a `FunctionDef`."""
    for node in definition.node_def:
        for value in node.attr.values():
            if value.HasField("func"):
                yield value.func
            yield from value.list.func


def _strip_numbers(definition: Any) -> None:
    """Take numbers in the order of tracing out of a `FunctionDef`: attributes, arguments' names."""
    for name in _NUMBERED:
        definition.attr.pop(name, None)
        for node in definition.node_def:
            node.attr.pop(name, None)
    new_names = {}
    for index, argument in enumerate(definition.signature.input_arg):
        definition.arg_attr[index].attr.pop("_user_specified_name", None)
        new_names[argument.name] = f"argument_{index}"
        argument.name = f"argument_{index}"
    for node in definition.node_def:
        node.input[:] = [_renamed(source, new_names) for source in node.input]
    sources = [definition.ret[result.name] for result in definition.signature.output_arg]
    definition.ret.clear()
    for index, result in enumerate(definition.signature.output_arg):
        result.name = f"result_{index}"
        definition.ret[result.name] = _renamed(sources[index], new_names)


def _renamed(source: str, new_names: Mapping[str, str]) -> str:
    """Return the source of a tensor in a function, `argument` or `node:output:0`, renamed."""
    name, colon, output = source.partition(":")
    return new_names.get(name, name) + colon + output
