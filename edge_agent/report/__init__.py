"""Reports a person can read and sign. Made outside the running agent."""
