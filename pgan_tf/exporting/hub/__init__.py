"""The format `hub`: a folder for Hugging Face's hub and for people, and its upload.

Begin with `folder.py`. `facts.py` collects what is known of a generator, `card.py` writes the model
card of it, with the YAML of `front_matter.py`. `example.py` is copied into the folder: it runs
without this project. `upload.py` pushes the folder; `pgan_tf/runs/hub.py` reads from the hub.
"""
