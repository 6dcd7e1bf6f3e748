"""Questions that decide how a part type is looked at, each answered by its good parts."""
