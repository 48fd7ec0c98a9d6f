"""The training loop and everything around it.

Begin with `loop.py`, the page to read first. Before the loop, `prepare.py` starts a run up
(`preflight.py` has its checks), `agreement.py` makes sure that all workers run the same, and
`initialization.py` and `fine_tuning.py`, which fits other networks' weights by `transfer.py`, give
a new run its first weights. Beside it, `feeding.py` brings batches to the replicas,
`phase_graphs.py` prepares the next phase, `run_ahead.py` reads results while later calls run,
`supervision.py` watches for signals and skipped updates, and `recovery.py` handles faults. May
import reporting, evaluation and every room below them. `preflight.py`, `fine_tuning.py` and
`transfer.py` import no TensorFlow at their top, because `pgan-train --plan` starts without it.
"""
