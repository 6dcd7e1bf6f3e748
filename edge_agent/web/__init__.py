"""The operator's page, in a process of its own: it looks at journal and archive, and no part waits for it."""
