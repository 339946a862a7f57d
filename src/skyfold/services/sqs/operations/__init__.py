"""The API of SQS, a module per noun."""
