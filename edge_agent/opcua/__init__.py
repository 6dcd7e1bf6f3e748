"""Status and results for OPC UA clients, in a process of its own: it tells and never decides."""
