"""A whole line for a newcomer: simulated peers, a calibration, the real agent, a report."""
