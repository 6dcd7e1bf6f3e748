"""A line of a fleet: what it tells the server, and what it does with a bundle that is offered there (decision 0103)."""
