"""Results: takes messages from the queue, asks for overdue ingestions, and settles uploads."""
