"""Pure machinery: templates, functions, schemas, differences. Values in, values out."""
