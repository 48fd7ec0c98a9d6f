"""Training states read from checkpoints."""

import tensorflow as tf


def saved_state(run_dir, images_seen):
    """Return the variables of a run's checkpoint as arrays, by the checkpoint's own names."""
    path = run_dir / "checkpoints" / f"state-{images_seen:09d}"
    reader = tf.train.load_checkpoint(str(path))
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name.startswith("variables/")
    }
