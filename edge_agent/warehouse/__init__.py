"""A plant's questions: the journals of many lines as Parquet in one store, and the answers out of it."""
