"""The line's reference bundles: proven for their place, signed, and with another limit."""
