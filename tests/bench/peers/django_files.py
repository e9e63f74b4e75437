"""Django: FileResponse behind Basic authentication, under gunicorn."""
import hmac
import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, HttpResponse
from django.urls import path
from django.utils._os import safe_join

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="bench")


def download(request, name):
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given, os.environ["AUTHORIZATION"]):
        return HttpResponse(status=401, headers={"WWW-Authenticate": 'Basic realm="files"'})
    return FileResponse(open(safe_join(os.environ["ROOT"], name), "rb"))


urlpatterns = [path("<path:name>", download)]
app = get_wsgi_application()
