"""The field mapping: the file, its expressions, what they make of the export, and its review."""
