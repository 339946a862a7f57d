"""The API of Amazon S3, a module for each noun."""
