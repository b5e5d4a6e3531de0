"""The parts of the soak of the queue; see tests/soak_queue.py."""
