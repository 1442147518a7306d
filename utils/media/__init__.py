"""Images, videos and cameras: reading and writing."""
