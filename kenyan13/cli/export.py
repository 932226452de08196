"""Commands that take a run out of the tool: export, serve, card."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import typer

from kenyan13.cli.app import RunFolder, app, console, examples, output, print_next
from kenyan13.errors import UserError, first_line
from kenyan13.runs.config_file import read_settings
from kenyan13.terminal import align, print_note


@app.command(epilog=examples("export runs/demo --to web --single-file", "export runs/demo --to timm -o demo"))
def export(
    run: RunFolder,
    to: Annotated[Literal["onnx", "web", "timm", "torch"], typer.Option(help="A graph, page, or folder.")] = "onnx",
    file: Annotated[Path | None, output("Where to; by default in the run.")] = None,
    float16: Annotated[bool, typer.Option("--float16", help="Half the size: weights of 16 bits.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="A quarter of the size: whole numbers of 8 bits.")] = False,
    single: Annotated[bool, typer.Option("--single-file", help="The web page in one HTML file.")] = False,
) -> None:
    """Write a run as ONNX, as a web page, or for timm.

    An ONNX graph is compared with torch on all validation images at once.
    """
    from kenyan13.export.session import GRAPH

    smaller = "float16" if float16 else "int8" if int8 else None
    if (float16 and int8) or (smaller and to in ("timm", "torch")):
        raise UserError("--float16 and --int8 do not go together; either goes with --to onnx and web.", "leave one out")
    if to in ("timm", "torch"):
        from kenyan13.export import write
        from kenyan13.training.composed import open_any

        written = getattr(write, f"write_{to}")(open_any(run), file or run / f"{to}_export")
        console.print(f"Written: {written}")
        return
    graph = file if file and to == "onnx" else run / (f"model_{smaller}.onnx" if smaller else GRAPH)
    if not smaller or not (run / GRAPH).is_file():
        write_graph(run, run / GRAPH if smaller else graph)
    if smaller:
        from kenyan13.export.write import shrink

        print(align(shrink(read_settings(run), run / GRAPH, graph, smaller), right={1, 2, 3, 4}))
    if to == "web":
        from kenyan13.export.web import write_page

        place = file or run / ("web.html" if single else "web")
        index = write_page(graph, place, Path.home() / ".cache" / "kenyan13", single)
        console.print(f"Open it with any browser, online or not: {index}")
    else:
        print_next(["kenyan13", "predict", str(run), "PHOTO.jpg"], ["kenyan13", "export", str(run), "--to", "web"])


def write_graph(run: Path, graph: Path) -> None:
    """Write a run's graph, and print how it compares with torch on the validation images."""
    from kenyan13.export.write import export_onnx
    from kenyan13.training.composed import open_any

    checked = export_onnx(open_any(run), graph)
    told = "not compared with torch, as the run's images are not there"
    if checked is not None:
        told = f"on {checked.images:,} validation images, the same class as torch on each"
        told = f"{told}; probabilities differ by at most {checked.difference:.0e}"
    console.print(f"{graph}: {told}.")


def add_graph(run: Path) -> None:
    """Write a finished run's graph, if it is not there; a model that cannot be exported is no reason to fail."""
    from kenyan13.export.session import GRAPH

    if not (run / GRAPH).is_file():
        print_note(f"Writing {GRAPH}, for use without torch; export=false leaves it out.")
        try:
            write_graph(run, run / GRAPH)
        except Exception as error:  # torch.onnx has an exception an operator
            print_note(f"No {GRAPH}: {first_line(error)}. kenyan13 predict uses torch.")


@app.command(epilog=examples("serve runs/demo", "serve runs/demo --port 9000"))
def serve(
    run: RunFolder,
    host: Annotated[str, typer.Option(help="Where to listen; 0.0.0.0: for other machines.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
    most_megabytes: Annotated[int, typer.Option(min=1, help="The largest image, in MB.")] = 20,
) -> None:
    """Answer images over HTTP.

    curl --data-binary @PHOTO.jpg http://localhost:8000/predict. Its page: http://localhost:8000/docs.
    """
    if not all(map(find_spec, ("fastapi", "uvicorn"))):
        raise UserError("kenyan13 serve needs FastAPI and uvicorn.", "pip install 'kenyan13[serve]'")
    import uvicorn

    from kenyan13.api import load
    from kenyan13.export.serve import make_app

    uvicorn.run(make_app(load(run).graph, most_megabytes), host=host, port=port, log_level="warning")


@app.command(epilog=examples("card runs/demo", "card runs/demo -o README.md"))
def card(
    run: RunFolder,
    file: Annotated[Path | None, output("The file; by default RUN/README.md.")] = None,
) -> None:
    """Write a model card, as for the Hugging Face hub.

    What the run was trained on, how good it is and where not, how to load it.
    """
    from kenyan13.report.writing import write_card

    console.print(f"Written: {write_card(run, file or run / 'README.md')}")
