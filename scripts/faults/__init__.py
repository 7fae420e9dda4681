"""What runs survive: each fault is tried for real and compared with an undisturbed run; `python -m scripts.faults`."""
