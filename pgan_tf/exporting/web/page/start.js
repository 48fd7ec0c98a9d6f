// A classic script, which browsers run where they refuse modules: it says what to do there.
(function () {
  "use strict";

  /** Show lines on the page; those in backquotes as something to type. */
  function say(lines) {
    function show() {
      var message = document.getElementById("message");
      message.textContent = "";
      lines.forEach(function (line) {
        var typed = /^`([^]*)`$/.exec(line);
        var element = document.createElement(typed ? "code" : "div");
        element.textContent = typed ? typed[1] : line;
        message.appendChild(element);
      });
    }
    if (document.readyState === "loading") {
      document.addEventListener("DOMContentLoaded", show);
    } else {
      show();
    }
  }

  /** Quote a path for a shell. */
  function quoted(path) {
    return /^[\w\/.:+-]+$/.test(path) ? path : "'" + path.replace(/'/g, "'\\''") + "'";
  }

  if (location.protocol === "file:") {
    var folder = decodeURIComponent(location.pathname).replace(/[^\/]*$/, "");
    // On Windows: /C:/pictures/
    if (/^\/[A-Za-z]:/.test(folder)) {
      folder = folder.slice(1);
    }
    say([
      "This page can't run from a file: browsers refuse its modules there. In a terminal, type",
      "`python3 -m http.server 8000 --bind 127.0.0.1 --directory " + quoted(folder) + "`",
      "and open",
      "`http://127.0.0.1:8000/`",
    ]);
    return;
  }
  if (typeof WebAssembly === "undefined" || !("noModule" in document.createElement("script"))) {
    say(["This browser is too old for this page, which needs modules and WebAssembly."]);
    return;
  }
  // Errors of loading do not bubble, so they are caught on their way down.
  document.addEventListener(
    "error",
    function (event) {
      if (event.target.tagName === "SCRIPT") {
        say([
          "A file of this page could not be loaded: " + event.target.src + " or one that it " +
            "needs. The folder must be served whole, its .js files as JavaScript.",
        ]);
      }
    },
    true
  );
})();
