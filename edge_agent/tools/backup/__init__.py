"""A line as a file: ``making`` writes it, ``sealed`` is its form, ``proving`` proves it, ``restoring`` unpacks it."""
