"""Looking at pyramids: what is in them, whether they are whole, and how two of them differ."""
