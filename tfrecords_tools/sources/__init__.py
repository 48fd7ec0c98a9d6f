"""Where a pyramid's images come from: one file a source."""
