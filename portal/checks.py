"""A wrong setting is a system check with a hint."""
