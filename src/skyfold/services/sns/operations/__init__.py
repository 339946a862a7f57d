"""The API of SNS, a module per noun."""
