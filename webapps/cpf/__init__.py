"""CPF merge files: read, applied, reported."""
