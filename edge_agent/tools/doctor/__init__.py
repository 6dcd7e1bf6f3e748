"""Is this PC, this line.toml and what hangs on it fit to judge parts? Each check with evidence and what to do."""

from edge_agent.tools.doctor.examine import CHECKS, Examination, examine
from edge_agent.tools.doctor.finding import Check, Finding, Result, Site

__all__ = ["CHECKS", "Check", "Examination", "Finding", "Result", "Site", "examine"]
