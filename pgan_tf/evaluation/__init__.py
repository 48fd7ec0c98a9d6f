"""From networks and pyramids to figures: whose images, by which metrics, kept where."""
