"""Pure machinery of Amazon S3: values in, values out."""
