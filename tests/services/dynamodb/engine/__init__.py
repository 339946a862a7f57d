"""The pure machinery of DynamoDB."""
