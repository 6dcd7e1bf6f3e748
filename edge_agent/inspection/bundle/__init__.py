"""The reference bundle: what is in it, proven before it is used, and which one is in use."""
