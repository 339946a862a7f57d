"""CloudFormation: stacks of resources from templates, created, changed and rolled back as one."""
