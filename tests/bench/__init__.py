"""What `make bench` measures: latency, start-up and memory of the real processes on this machine."""
