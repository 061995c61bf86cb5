"""The export: reading it, and giving rows back in its own format."""
