"""FastAPI: FileResponse behind HTTPBasic, under uvicorn."""
import base64
import hmac
import os

from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import FileResponse
from fastapi.security import HTTPBasic, HTTPBasicCredentials

app = FastAPI()


@app.get("/{name}")
def download(name: str, credentials: HTTPBasicCredentials = Depends(HTTPBasic())):
    pair = f"{credentials.username}:{credentials.password}".encode()
    if not hmac.compare_digest("Basic " + base64.b64encode(pair).decode(), os.environ["AUTHORIZATION"]):
        raise HTTPException(401)
    return FileResponse(os.path.join(os.environ["ROOT"], os.path.basename(name)))
