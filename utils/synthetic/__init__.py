"""People who don't exist, drawn for the demo and the tests."""
