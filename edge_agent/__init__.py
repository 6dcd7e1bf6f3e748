"""edge-agent: inspects every part that a KEYENCE CV-X images and drives a fail-safe pass/reject output."""

__version__ = "0.1.0"
