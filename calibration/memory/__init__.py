"""What the memory banks hold of good parts, and in which scale distances are taken."""
