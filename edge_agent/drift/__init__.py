"""Control charts over what the inspection measured of good parts: a slow change is told before good parts are lost."""
