"""The documents as a site, and the pages of it that are made of the code: make docs, make reference."""
