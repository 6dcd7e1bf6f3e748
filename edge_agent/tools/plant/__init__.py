"""A replay of many images by many processes, on this machine or on others: in chunks that outlive a stop."""
