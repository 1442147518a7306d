"""Who is it: the gallery, tracks and their names, and the comparison of photos."""
