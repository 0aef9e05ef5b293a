"""The values that a field offers, with the words for them (``fields.md``)."""

from __future__ import annotations

from django.db import models


class Kind(models.TextChoices):
    """What dispatches requests: the field Enable, ``DispatchClass`` in a CPF file."""

    WSGI = "wsgi", "WSGI"
    FILES = "files", "Files only"


class ProtocolType(models.IntegerChoices):
    """Python Protocol Type; 0 occurs in published CPF files and means wsgi."""

    WSGI = 1, "wsgi"
    ASGI = 2, "asgi"


class ServeFiles(models.IntegerChoices):
    """Who serves static files."""

    NO = 0, "No"
    ALWAYS = 1, "Always"
    CACHED = 2, "Always and cached"
    SECURED = 3, "Use application security"


class Authentication(models.IntegerChoices):
    """The bits of Allowed Authentication Methods that the form offers."""

    UNAUTHENTICATED = 64, "Unauthenticated"
    PASSWORD = 32, "Password"
    KERBEROS = 4, "Kerberos"
    DELEGATED = 8192, "Delegated"
    LDAP = 2048, "LDAP"
    OAUTH2 = 67108864, "OAuth2"
    TOTP = 2097152, "Two-factor TOTP"
    LOGIN_COOKIE = 16384, "Login Cookie"


#: The methods that Stoa has; the others keep their bits and are not available yet.
AVAILABLE = Authentication.UNAUTHENTICATED | Authentication.PASSWORD | Authentication.LOGIN_COOKIE
#: What a new application in the portal asks for.
PROTECTED = Authentication.PASSWORD | Authentication.LOGIN_COOKIE
#: Bits that are kept as given and never offered.
OFFERED_BITS = sum(Authentication.values)


def methods(bits: int) -> list[str]:
    """Name the methods of authentication that ``bits`` allow, in the form's order."""
    return [str(method.label) for method in Authentication if bits & method.value]


def why_off(method: int, allowed: int) -> str:
    """Say why a method does not count where the system allows these, "" where it does."""
    if not method & AVAILABLE:
        return "Not available yet"
    return "" if method & allowed else "Off for the system"
