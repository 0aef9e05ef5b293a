"""Settings of the Django sample.

FORCE_SCRIPT_NAME is not among them: SCRIPT_NAME arrives with each request, and relative URLs such as
STATIC_URL below are completed with it.
"""

from pathlib import Path

import dj_database_url

from app.secret import read_or_make_secret

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = read_or_make_secret(BASE_DIR / ".secret_key")
DEBUG = False
ALLOWED_HOSTS = ["*"]  # the server in front decides which hosts arrive here

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "blog",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "app.urls"
WSGI_APPLICATION = "app.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# The database of the namespace, from DATABASE_URL.
DATABASES = {"default": dj_database_url.config(default=f"sqlite:///{BASE_DIR / 'django.sqlite3'}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # An SQLite file has one writer at a time: the others wait from the beginning of their transaction.
    DATABASES["default"]["OPTIONS"] = {"timeout": 20, "transaction_mode": "IMMEDIATE"}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

USE_TZ = True
TIME_ZONE = "UTC"

# Collected into the directory from which the front serves files.
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "static"

# Applications on one host share its cookies: names of its own keep this one's apart.
SESSION_COOKIE_NAME = "django_sample_session"
CSRF_COOKIE_NAME = "django_sample_csrf"

REST_FRAMEWORK = {
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "PAGE_SIZE": 20,
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"log": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["log"], "level": "INFO"},
}
