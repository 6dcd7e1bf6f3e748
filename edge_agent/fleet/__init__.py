"""The server of several lines: what they tell, on one page, and bundles that go to them in stages (decision 0103)."""
