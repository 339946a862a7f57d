"""What SNS knows without a store: filter policies, message attributes, envelopes, signatures."""
