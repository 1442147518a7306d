"""Pictures in and out: image files, videos and cameras."""
