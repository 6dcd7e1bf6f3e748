"""Drivers: the controller, its images and the digital output. They know nothing of the inspection."""
