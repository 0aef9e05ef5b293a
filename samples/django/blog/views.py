import json
import os

from django.db import connection
from django.http import JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe
from rest_framework.viewsets import ModelViewSet

from .models import Comment, Post
from .serializers import CommentSerializer, PostSerializer


class Posts(ModelViewSet):
    queryset = Post.objects.all()
    serializer_class = PostSerializer

    def perform_create(self, serializer):
        post = serializer.save()
        print(f"Post {post.id} was written: {post.title!r}", flush=True)


class Comments(ModelViewSet):
    queryset = Comment.objects.all()
    serializer_class = CommentSerializer


@require_safe
def index(request):
    told = {
        "name": request.META["SCRIPT_NAME"],  # the name under which the application is mounted
        "user": request.META.get("REMOTE_USER"),  # who signed in, if anybody was asked to
        "directory": os.getcwd(),
        "database": f"{connection.vendor}: {connection.settings_dict['NAME']}",
        "url": request.build_absolute_uri(),
    }
    return render(request, "index.html", told)


@require_safe
def iris(request):
    """Answer with the first ten tables of the database, a row for each."""
    return JsonResponse([[name] for name in sorted(connection.introspection.table_names())[:10]], safe=False)


@csrf_exempt  # it changes nothing
@require_http_methods(["GET", "POST", "PUT", "DELETE"])
def interop(request):
    seen = {
        "method": request.method,
        "url": request.build_absolute_uri(),
        "headers": dict(request.headers),
        "body": request.body.decode(errors="replace"),
    }
    answer = {"status": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(seen)}
    return JsonResponse(answer)
