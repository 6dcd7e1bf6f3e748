"""A bundle learns from parts of its line that people confirmed: proposed, made beside the line, compared, told."""
