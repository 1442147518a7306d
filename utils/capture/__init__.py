"""Collecting faces with capture.py: what to save, the guide to poses, the preview window."""
