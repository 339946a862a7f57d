"""Pure machinery: numbers, values, keys, expressions; values in, values out."""
