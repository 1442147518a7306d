"""Take networks along: files for other programs and devices, checked against Keras."""
