"""From an image to upright face chips."""
