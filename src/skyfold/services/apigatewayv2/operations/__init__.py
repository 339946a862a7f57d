"""The operations of API Gateway V2, a module per noun."""
