"""Who may do what: users with roles, passwords that only their owners know, and one way to sign."""
