"""A run as a web service: POST an image to /predict, get classes with probabilities. FastAPI makes the page /docs."""

from threading import Semaphore
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool

from kenyan13.errors import first_line
from kenyan13.export.session import Graph, answer
from kenyan13.machine import available_cores

MEGABYTE = 2**20


def make_app(graph: Graph, most_megabytes: int) -> FastAPI:
    """Return the service of a graph; requests run side by side on all cores. Larger bodies are answered with 413."""
    turns = Semaphore(available_cores())  # or memory grows with the requests that wait
    app = FastAPI(title=f"kenyan13: {graph.meta['name']}", description="Image classification by one trained run.")

    @app.get("/")
    def describe() -> dict[str, Any]:
        """Return the run's name, its classes, and the limit of a request."""
        return {"run": graph.meta["name"], "classes": graph.classes, "most_megabytes": most_megabytes}

    @app.post("/predict", openapi_extra={"requestBody": {"content": {"image/*": {}}, "required": True}})
    async def predict(
        request: Request, top: Annotated[int, Query(ge=1)] = 5, coverage: Annotated[float, Query(gt=0, lt=1)] = 0.9
    ) -> dict[str, Any]:
        """Return the top classes, a set that holds the right one with `coverage`, and whether it may be none of them.

        The body is an image file: curl --data-binary @PHOTO.jpg http://localhost:8000/predict
        """
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > most_megabytes * MEGABYTE:
                raise HTTPException(413, f"An image may have {most_megabytes} MB.")
        return await run_in_threadpool(look, bytes(body), top, coverage)

    def look(body: bytes, top: int, coverage: float) -> dict[str, Any]:
        with turns:
            try:
                image = graph.read(body)
            except Exception as error:  # Pillow's formats raise nearly everything
                raise HTTPException(422, f"This is no image that can be read: {first_line(error)}") from None
            return answer(graph, graph.run(image), top, coverage)

    return app
