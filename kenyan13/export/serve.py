"""A run as a web service: POST an image to /predict, get classes with probabilities. FastAPI makes the page /docs."""

from threading import Semaphore
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from kenyan13.errors import first_line
from kenyan13.export.session import Graph, answer
from kenyan13.machine import available_cores

MEGABYTE = 2**20


class Wanted(BaseModel, extra="forbid"):
    """What may stand behind /predict?; anything else is answered with 422."""

    top: int = Field(5, ge=1)
    coverage: float = Field(0.9, gt=0, lt=1)


def make_app(graph: Graph, most_megabytes: int) -> FastAPI:
    """Return the service of a graph; requests run side by side on all cores. Larger bodies are answered with 413."""
    turns = Semaphore(available_cores())  # or memory grows with the requests that wait
    app = FastAPI(title=f"kenyan13: {graph.meta['name']}", description="Image classification by one trained run.")

    @app.get("/")
    def describe() -> dict[str, Any]:
        """Return the run's name, its classes, and the limit of a request."""
        return {"run": graph.meta["name"], "classes": graph.classes, "most_megabytes": most_megabytes}

    @app.post("/predict", openapi_extra={"requestBody": {"content": {"image/*": {}}, "required": True}})
    async def predict(request: Request, wanted: Annotated[Wanted, Query()]) -> dict[str, Any]:
        """Return the top classes, a set that holds the right one with `coverage`, and whether it may be none of them.

        The body is an image file: curl --data-binary @PHOTO.jpg http://localhost:8000/predict
        """
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > most_megabytes * MEGABYTE:
                raise HTTPException(413, f"An image may have {most_megabytes} MB.")
        return await run_in_threadpool(look, bytes(body), wanted.top, wanted.coverage)

    def look(body: bytes, top: int, coverage: float) -> dict[str, Any]:
        with turns:
            try:
                image = graph.read(body)
            except Exception as error:  # Pillow's formats raise nearly everything
                advice = "The body is to be the file itself: curl --data-binary @PHOTO.jpg"
                raise HTTPException(422, f"This is no image that can be read: {first_line(error)}. {advice}") from None
            return answer(graph, graph.run(image), top, coverage)

    return app
