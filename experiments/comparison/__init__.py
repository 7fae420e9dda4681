"""What `experiments.compare` is made of: kinds of files, the time it takes, its result."""
