"""What benchmarks/fuzz.py feeds to the suite's readers."""
