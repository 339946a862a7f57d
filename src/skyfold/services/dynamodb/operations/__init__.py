"""The API, a module for each noun."""
