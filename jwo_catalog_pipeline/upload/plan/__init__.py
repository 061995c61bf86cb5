"""Planning: compares the catalog with the published state. Sends nothing."""
