"""The ledger: one DynamoDB table, its keys, and the reads and writes of it."""
