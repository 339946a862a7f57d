"""Machinery without state: values in, values out."""
