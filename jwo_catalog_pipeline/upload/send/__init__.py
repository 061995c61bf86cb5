"""Sending: records an upload, sends its batches, and cuts refused ones."""
