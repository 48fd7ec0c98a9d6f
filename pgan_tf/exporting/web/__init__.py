"""A web page that generates: a static folder with an ONNX file, a page and ONNX Runtime Web.

Begin with `folder.py`. `page/` holds the page itself: HTML, CSS and JavaScript modules, without a
build step; there, begin with `main.js`.
"""

from pgan_tf.exporting.web.folder import FORMAT

__all__ = ["FORMAT"]
