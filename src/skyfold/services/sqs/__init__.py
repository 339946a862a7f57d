"""Amazon SQS: queues whose messages are received, hidden, and deleted or shown again."""
