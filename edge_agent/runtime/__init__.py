"""The running agent: pairing, one part under one deadline, interlock, supervision."""
