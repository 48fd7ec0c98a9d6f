"""Time and memory of a run before it starts.

`plan.py` estimates them by formula; `dry_run.py` measures them, by trial steps in a child process.
Imports training and all below it. Begin with `plan.py`.
"""
