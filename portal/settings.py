"""Django's settings of the portal, from the environment.

STOA_HOME                where everything lives that Stoa writes (default: var beside manage.py)
STOA_SECRET_KEY          signs sessions; made once in STOA_HOME when it is not set
DATABASE_URL             the portal's database (default: SQLite in STOA_HOME)
STOA_URL                 where people find the applications
STOA_PORTAL_URL          where administrators find the portal
STOA_PORTAL_HOSTS        further host names of the portal, with commas between them
STOA_TRUSTED_PROXIES     addresses whose X-Forwarded-* the front believes, with commas between them
STOA_DEBUG               1: Django's own error pages; never on a machine that others reach
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url

from .keys import secret_key


def _list(name: str) -> list[str]:
    return [item.strip() for item in os.environ.get(name, "").split(",") if item.strip()]


BASE_DIR = Path(__file__).resolve().parent.parent
STOA_HOME = Path(os.environ.get("STOA_HOME") or BASE_DIR / "var").expanduser().absolute()
STOA_URL = os.environ.get("STOA_URL", "http://127.0.0.1:8000").rstrip("/")
STOA_PORTAL_URL = os.environ.get("STOA_PORTAL_URL", "http://127.0.0.1:8080").rstrip("/")
STOA_TRUSTED_PROXIES = _list("STOA_TRUSTED_PROXIES")

SECRET_KEY = secret_key(STOA_HOME)
DEBUG = os.environ.get("STOA_DEBUG") == "1"

_portal = urlsplit(STOA_PORTAL_URL)
_https = _portal.scheme == "https"
ALLOWED_HOSTS = list(
    dict.fromkeys(
        host
        for host in ["localhost", "127.0.0.1", "[::1]", _portal.hostname or "", *_list("STOA_PORTAL_HOSTS")]
        if host
    )
)
CSRF_TRUSTED_ORIGINS = [f"{_portal.scheme}://{_portal.netloc}"] if _portal.scheme and _portal.netloc else []

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.forms",
    "axes",
    "crispy_forms",
    "crispy_bootstrap5",
    "webapps",
    "portal",
]

MIDDLEWARE = [
    "portal.middleware.SecurityHeaders",
    "django.middleware.security.SecurityMiddleware",
    "portal.middleware.OneSessionCookie",
    "portal.middleware.OwnPagesOnly",
    "portal.middleware.PagesMethods",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "portal.sessions.SessionTimeout",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.context.shell",
            ],
        },
    }
]


def _database() -> dict[str, Any]:
    """Return the database; a DATABASE_URL that is not understood gives none, and a check that says so."""
    url = os.environ.get("DATABASE_URL")
    if not url:
        # Whoever finds no database makes none (https://www.sqlite.org/uri.html): portal.database does.
        name = f"{(STOA_HOME / 'db.sqlite3').as_uri()}?mode=rw"
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "CONN_MAX_AGE": 60}
    try:
        return dict(dj_database_url.parse(url, conn_max_age=60, conn_health_checks=True))
    except ValueError:
        return {"ENGINE": "django.db.backends.dummy"}


DATABASES: dict[str, Any] = {"default": _database()}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Writers queue instead of failing: a transaction takes its lock when it begins, and waits for it.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
    }

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "/portal/static/"
STATICFILES_DIRS = [BASE_DIR / "static" / "portal"]

FORM_RENDERER = "django.forms.renderers.TemplatesSetting"
CRISPY_ALLOWED_TEMPLATE_PACKS = "bootstrap5"
CRISPY_TEMPLATE_PACK = "bootstrap5"
CRISPY_FAIL_SILENTLY = False

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "portal.hashing.Backend"]
# A pair of account and address is locked, so that nobody can lock an administrator out from elsewhere.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = "portal.locks.limit"
AXES_CLIENT_IP_CALLABLE = "portal.locks.client_address"
AXES_COOLOFF_TIME = "portal.locks.cool_off"
AXES_LOCKOUT_CALLABLE = "portal.locks.locked_out"
AXES_RESET_ON_SUCCESS = True
AXES_DISABLE_ACCESS_LOG = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

LOGIN_URL = "portal:login"
LOGIN_REDIRECT_URL = "webapps:list"
LOGOUT_REDIRECT_URL = "portal:login"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "portal.passwordrules.EnoughCharacters"},
    {"NAME": "portal.passwordrules.NotOnesName"},
]

# Over HTTPS it is this very host's (RFC 6265bis, section 4.1.3.2), which a browser believes of "/" alone.
SESSION_COOKIE_NAME, SESSION_COOKIE_PATH = ("__Host-stoa_session", "/") if _https else ("stoa_session", "/portal/")
SESSION_COOKIE_SECURE = _https
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_USE_SESSIONS = True
CSRF_FAILURE_VIEW = "portal.views.csrf_failure"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

# The front sets this header itself and believes only STOA_TRUSTED_PROXIES.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{levelname} {name}: {message}", "style": "{"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {"django.server": {"propagate": True, "handlers": []}},
}
