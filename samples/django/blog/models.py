from django.db import models


class Post(models.Model):
    title = models.CharField(max_length=100)
    content = models.TextField()

    class Meta:
        # Other applications share the database: the prefix keeps their tables apart.
        db_table = "django_post"
        ordering = ["id"]

    def __str__(self):
        return self.title


class Comment(models.Model):
    content = models.TextField()
    post = models.ForeignKey(Post, on_delete=models.CASCADE, related_name="comments")

    class Meta:
        db_table = "django_comment"
        ordering = ["id"]

    def __str__(self):
        return self.content
