"""Copies between host and GPU that a graph would need, found on a machine without a GPU.

TensorFlow's packages register the kernels of GPUs whether there is one or not, and each kernel
names the inputs and outputs that it keeps in host memory.
"""

import functools

import tensorflow as tf
from tensorflow.python.framework import kernels, op_def_registry

HOST, DEVICE = "host", "device"
_FUNCTION_ATTRIBUTES = ("f", "body", "cond", "then_branch", "else_branch")
# Handles live on the host, whatever they stand for, and are never copied.
_HANDLES = (tf.resource, tf.variant)


def compiled_functions(graph):
    """Return the names of the functions that XLA compiles, which a function's graph calls."""
    return {op.get_attr("f").name for op in operations(graph) if is_compiled(op)}


def copies(graph):
    """Return the types of producer and consumer of each tensor that is copied."""
    found = []
    for op in operations(graph):
        for tensor, wanted in zip(op.inputs, _memory(op)[0], strict=True):
            there = _memory(tensor.op)[1][tensor.value_index]
            if tensor.dtype not in _HANDLES and there != wanted:
                found.append((tensor.op.type, op.type))
    return found


def operations(graph):
    """Yield each operation of a graph and of the functions that it calls.

    Operations inside of what XLA compiles are left out.
    """
    for op in graph.get_operations():
        yield op
        if not is_compiled(op):
            for name in _FUNCTION_ATTRIBUTES:
                if any(name == attribute.name for attribute in op.op_def.attr):
                    called = op.get_attr(name).name
                    yield from operations(function_graph(graph, called))


def function_graph(graph, name):
    """Return the graph of a function that a graph, or one around it, holds."""
    while name not in graph._functions:
        graph = graph.outer_graph
    return graph._functions[name].graph


def is_compiled(op):
    """Return whether an operation calls a function that XLA compiles."""
    try:
        return bool(op.get_attr("_XlaMustCompile"))
    except ValueError:
        return False


def _memory(op):
    """Return where the kernel of an operation wants its inputs and leaves its outputs."""
    if op.type == "Identity":  # TensorFlow prunes it
        producer = op.inputs[0]
        there = _memory(producer.op)[1][producer.value_index]
        return [there], [there]
    if is_compiled(op):
        return [DEVICE] * len(op.inputs), [DEVICE] * len(op.outputs)
    if op.type in ("Placeholder", "While", "StatelessWhile", "If", "StatelessIf") or (
        op.type.endswith("PartitionedCall")
    ):
        # Of functions' arguments and results, int32 stays on the host.
        inputs, outputs = (
            [HOST if x.dtype == tf.int32 else DEVICE for x in tensors]
            for tensors in (op.inputs, op.outputs)
        )
        if op.type in ("If", "StatelessIf"):
            inputs[0] = HOST
        return inputs, outputs
    kernel = _gpu_kernel(op)
    if kernel is None:
        return [HOST] * len(op.inputs), [HOST] * len(op.outputs)
    definition = op_def_registry.get(op.type)
    return (
        _by_argument(op, definition.input_arg, kernel.host_memory_arg),
        _by_argument(op, definition.output_arg, kernel.host_memory_arg),
    )


def _gpu_kernel(op):
    fitting = {
        kernel.device_type: kernel
        for kernel in _kernels(op.type)
        if all(
            op.get_attr(constraint.name)
            in [tf.as_dtype(allowed) for allowed in constraint.allowed_values.list.type]
            for constraint in kernel.constraint
        )
    }
    return fitting.get("GPU", fitting.get("DEFAULT"))  # the default is any device's


@functools.cache
def _kernels(op_type):
    return tuple(kernels.get_registered_kernels_for_op(op_type).kernel)


def _by_argument(op, arguments, on_host):
    places = []
    for argument in arguments:
        count = 1
        if argument.number_attr:
            count = op.get_attr(argument.number_attr)
        elif argument.type_list_attr:
            count = len(op.get_attr(argument.type_list_attr))
        places += [HOST if argument.name in on_host else DEVICE] * count
    return places
