"""Results as a Sparkplug B edge node: births, deaths, sequence numbers and history, out of the journal."""
