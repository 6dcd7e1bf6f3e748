"""Golden parts and reject samples: when they are to be shown, whether they were, whether they are still themselves."""
