"""Free text of the journal and of a running agent, in the reader's language: read back by known phrases, then said."""

from edge_agent.report.phrases.reading import is_known, said, sentence

__all__ = ["is_known", "said", "sentence"]
