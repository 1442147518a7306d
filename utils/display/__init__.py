"""Windows, and drawing on the pictures that they show."""
