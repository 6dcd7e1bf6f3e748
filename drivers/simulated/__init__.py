"""Simulated peers: controller, camera, remote I/O. Written from the protocol, not from the drivers they test."""
