"""Who is it? Gallery, tracking, naming, and the comparison of photos."""
