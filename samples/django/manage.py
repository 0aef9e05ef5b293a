"""Django's commands for this sample: ``python manage.py …`` with the namespace's Python and DATABASE_URL."""

import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings")
execute_from_command_line(sys.argv)
