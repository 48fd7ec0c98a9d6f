"""From a saved generator to pictures and videos."""
