"""An attribute agreement study (AIAG MSA) of a line: over the running line, or over recorded images."""
