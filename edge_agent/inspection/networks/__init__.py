"""What networks make of a part: its reconstruction, the anomaly map, features of each place."""
