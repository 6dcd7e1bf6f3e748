"""The local socket of a running agent, and what is said through it."""
