"""Access: who asks (signatures) and whether they may (IAM)."""
