"""From a picture to an upright face chip."""
