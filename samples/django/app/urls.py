from blog import views
from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.static import serve
from rest_framework.routers import DefaultRouter

router = DefaultRouter()
router.register("posts", views.Posts)
router.register("comments", views.Comments)

urlpatterns = [
    path("", views.index),
    path("iris", views.iris),
    path("interop", views.interop),
    path("api/", include(router.urls)),
    path("admin/", admin.site.urls),
    # The front serves these files where Serve Files is on; without it the application does.
    path("static/<path:path>", serve, {"document_root": settings.STATIC_ROOT}),
]
