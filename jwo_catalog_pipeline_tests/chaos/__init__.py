"""What is tried to break the pipeline, and the figures of what came of it: `make chaos`."""
