"""What `experiments.export` writes, one kind of file a module."""
