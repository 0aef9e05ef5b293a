"""The Django sample. Application Name ``app.wsgi``, Callable Name ``application``."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings")
application = get_wsgi_application()

# What an administrator would do by hand after an upgrade, done here when the process starts.
from app.prepare import prepare  # noqa: E402  (needs the settings)

prepare()
# Whatever is printed becomes a line of the log.
print(f"The Django sample has started in {os.getcwd()}", flush=True)
