"""What SQS knows without a store: attributes, checksums, receipt handles."""
