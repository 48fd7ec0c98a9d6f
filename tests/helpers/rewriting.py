"""Files of this project with one thing in them changed, as damage or a stranger may change it."""

import zipfile

import tensorflow as tf

OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def rewrite_checkpoint(path, target, changes):
    """Writes the checkpoint at `path` to `target` with other tensors, by their names."""
    reader = tf.train.load_checkpoint(str(path))
    names = sorted(reader.get_variable_to_shape_map())
    tensors = [
        tf.constant(changes[name]) if name in changes else reader.get_tensor(name) for name in names
    ]
    part = f"{target}-part"
    tf.raw_ops.SaveV2(
        prefix=part, tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors
    )
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=[part], destination_prefix=str(target))


def rewrite_member(path, member, data):
    """Replaces one member's bytes in the archive at `path`."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**members, member: data}.items():
            archive.writestr(name, content)
