"""From a face chip to a feature vector, and to the files that hold it."""
