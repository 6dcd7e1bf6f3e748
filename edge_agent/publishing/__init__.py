"""Results for other systems: MQTT and a webhook, out of the journal, in a process of their own."""
