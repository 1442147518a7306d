"""capture.py's own: which faces are saved, the guide, the window."""
