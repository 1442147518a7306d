"""Windows, and what is drawn on the pictures in them."""
