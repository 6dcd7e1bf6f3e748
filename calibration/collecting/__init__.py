"""Good parts from the line itself, one after the other into a folder."""
