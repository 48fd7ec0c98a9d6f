"""Time and memory of a run before it starts: by formula (`plan.py`), or by steps that are tried
(`dry_run.py`, in a child process).

Imports training and all below it. Begin with `plan.py`.
"""
