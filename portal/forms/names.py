"""Names that differ in more than their case."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet


def is_taken(others: QuerySet[Any], field: str, name: str) -> bool:
    """Say whether another row has the name in any case; Python compares, because SQLite knows ASCII alone."""
    return name.lower() in {other.lower() for other in others.values_list(field, flat=True)}
