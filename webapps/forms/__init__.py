"""The forms; each one's layout is data."""

from .namespace import NamespaceForm
from .webapp import WebAppForm

__all__ = ["NamespaceForm", "WebAppForm"]
