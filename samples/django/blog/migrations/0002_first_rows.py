from django.db import migrations


def write_first_rows(apps, schema_editor):
    Post = apps.get_model("blog", "Post")
    Comment = apps.get_model("blog", "Comment")
    first = Post.objects.create(title="Post The First", content="Content for the first post")
    second = Post.objects.create(title="Post The Second", content="Content for the Second post")
    Post.objects.create(title="Post The Third", content="Content for the third post")
    Comment.objects.create(content="Comment for the first post", post=first)
    Comment.objects.create(content="Comment for the second post", post=second)
    Comment.objects.create(content="Another comment for the second post", post=second)
    Comment.objects.create(content="Another comment for the first post", post=first)


class Migration(migrations.Migration):
    dependencies = [("blog", "0001_initial")]
    operations = [migrations.RunPython(write_first_rows, migrations.RunPython.noop)]
