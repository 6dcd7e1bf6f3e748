"""What the agent tells the processes beside it, and what they know of the line now: of it, and of the journal."""
