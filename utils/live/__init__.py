"""test.py's own: keys, enrollment, outputs and the loops."""
