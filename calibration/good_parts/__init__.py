"""The good images as they come: read, proven, compared, and what a person said of them."""
