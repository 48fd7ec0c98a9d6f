"""What TensorBoard shows of a run beyond losses and pictures."""
