"""Image files: proven to be whole, then decoded."""
