"""Flask: send_from_directory behind Basic authentication, under gunicorn."""
import hmac
import os

from flask import Flask, Response, request, send_from_directory

app = Flask(__name__)


@app.get("/<path:name>")
def download(name):
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given, os.environ["AUTHORIZATION"]):
        return Response(status=401, headers={"WWW-Authenticate": 'Basic realm="files"'})
    return send_from_directory(os.environ["ROOT"], name)
