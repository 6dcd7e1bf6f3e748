"""The digital output: coils of a Modbus TCP remote I/O."""
