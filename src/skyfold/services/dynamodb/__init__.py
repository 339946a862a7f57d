"""Amazon DynamoDB: tables, items and the expressions over them."""
