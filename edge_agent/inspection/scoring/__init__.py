"""From features to a score, and from the score to the outcome of one image."""
