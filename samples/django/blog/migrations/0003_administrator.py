import secrets

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import migrations


def make_administrator(apps, schema_editor):
    """Make the administrator with a password of its own, which the log shows this once."""
    User = apps.get_model(settings.AUTH_USER_MODEL)
    if User.objects.filter(username="admin").exists():
        return
    password = secrets.token_urlsafe(12)
    User.objects.create(username="admin", password=make_password(password), is_staff=True, is_superuser=True)
    print(f"The Django sample's administrator is admin, the password {password}", flush=True)


class Migration(migrations.Migration):
    dependencies = [
        ("blog", "0002_first_rows"),
        ("auth", "0012_alter_user_first_name_max_length"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [migrations.RunPython(make_administrator, migrations.RunPython.noop)]
