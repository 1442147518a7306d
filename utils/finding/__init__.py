"""find.py: who is in a photo, and where and when was this face seen."""
