"""A run for other programs: timm's own folder, and a program of torch.export."""

from pathlib import Path

import torch
from timm.models import save_for_hf

from kenyan13.data.images import resize_length
from kenyan13.errors import UserError
from kenyan13.export.graph import complete
from kenyan13.export.write import example_sizes
from kenyan13.training.composed import AnyRun
from kenyan13.training.inference import TrainedRun


def write_timm(run: AnyRun, folder: Path) -> Path:
    """Write model.safetensors and config.json: timm.create_model("local-dir:FOLDER", pretrained=True) loads them.

    Raises UserError for a run that is put together from others.
    """
    if not isinstance(run, TrainedRun):
        raise UserError(f"{run.folder} has several networks; timm's folder holds one.", "export a member")
    if not hasattr(run.network, "num_features"):
        raise UserError(f"{run.settings.model.backbone} is no network of timm's own.", "use --to torch, or --to onnx")
    crop = run.settings.model.crop
    seen = {"input_size": (3, crop, crop), "crop_pct": crop / resize_length(crop), "interpolation": "bilinear",
            "crop_mode": "center", "test_input_size": None, "test_crop_pct": None}  # fmt: skip
    run.network.pretrained_cfg = run.network.pretrained_cfg | seen  # type: ignore[operator]
    save_for_hf(run.network, str(folder), model_config={"label_names": list(run.classes)}, safe_serialization=True)
    return folder


def write_torch(run: AnyRun, folder: Path) -> Path:
    """Write model.pt2: torch.export.load(FILE).module()(images) gives probabilities of uint8 [n, height, width, 3]."""
    folder.mkdir(parents=True, exist_ok=True)
    example, sizes = example_sizes()
    with torch.no_grad():
        program = torch.export.export(complete(run).eval(), (example,), dynamic_shapes={"images": sizes})
    torch.export.save(program, folder / "model.pt2")
    return folder / "model.pt2"
