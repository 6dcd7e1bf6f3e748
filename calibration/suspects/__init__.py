"""Parts among the good ones that stand apart and have to be looked at by a person."""
