"""What is kept: the journal and the archive."""
