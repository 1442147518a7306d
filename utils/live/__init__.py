"""What only test.py needs: the keys of its window, enrollment, outputs and loops."""
