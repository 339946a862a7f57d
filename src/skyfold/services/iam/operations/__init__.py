"""The API of IAM, a module for each noun."""
