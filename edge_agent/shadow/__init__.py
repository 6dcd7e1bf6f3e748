"""A candidate bundle judges every part beside the one in use, in a process of its own that no part waits for."""
