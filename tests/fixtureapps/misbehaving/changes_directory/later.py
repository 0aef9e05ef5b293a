"""What is imported late."""

WORD = b"well"
