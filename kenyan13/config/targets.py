"""What Hydra is to build: arguments are checked, by conf/ or the target's signature, then it is built."""

import inspect
from collections.abc import Callable, Collection, Mapping
from pkgutil import resolve_name
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from kenyan13.config.presets import TARGET, map_nodes, presets, presets_of
from kenyan13.config.settings import SEVERAL, Settings
from kenyan13.errors import UserError, did_you_mean, first_line, shorten

HYDRA_KEYS = (TARGET, "_partial_", "_args_", "_recursive_", "_convert_")
NEEDED = ("optim", "loss", "trainer")
OWN_KEYS = {"schedule": ("interval", "monitor")}  # read by the Classifier, in Lightning's words; not the target's
# what the run itself hands to the target
GIVEN = {"schedule": ("optimizer",), "loss": ("weight",), "trainer": ("logger", "callbacks", "default_root_dir")}


def check_built(settings: Settings, given: Collection[str] = ()) -> None:
    """Raise UserError for a group without a target, one that is not there, and arguments that it does not take.

    Arguments that another target, chosen on the command line (given: its keys), does not take are left out.
    """
    for group in NEEDED:
        if not getattr(settings, group):
            raise UserError(f"There is no {group}, which every run needs.", f"{group}={shorten(list(presets(group)))}")
    for group in SEVERAL:
        known = [name for values in presets(group).values() for name in values]
        for name, node in getattr(settings, group).items():
            if node is None and name not in known and (close := did_you_mean(name, known)):
                raise UserError(f"There is no {group}.{name} to leave out.{close}")
    for k, node in enumerate(settings.augment.extra):
        if not isinstance(node, Mapping):
            step = "'augment.extra=[{_target_:torchvision.transforms.v2.TrivialAugmentWide}]'"
            raise UserError(f"augment.extra[{k}]={node} names no transform.", step)
        check_node("augment", f"augment.extra[{k}]", dict(node), given=["augment.extra"])
    kept = map_nodes(vars(settings), lambda group, key, node: check_node(group, key, node, given))
    for group, values in kept.items():
        setattr(settings, group, values)


def check_node(group: str, key: str, node: dict[str, Any], given: Collection[str]) -> dict[str, Any]:
    """Return a node with the arguments that its target takes."""
    if not isinstance(node.get(TARGET), str):
        name, choices = key.rpartition(".")[2], presets(group)
        having = [choice for choice, values in choices.items() if name in values or (key == group and values)]
        close = did_you_mean(name, [name for values in choices.values() for name in values])
        problem = f"{key} is not chosen." if having else f"There is no setting '{key}'.{close}"
        problem = f"{key}._target_={node[TARGET]} names no class." if TARGET in node else problem
        chosen = f"choose first: {group}={shorten(having or list(choices))}"
        raise UserError(problem, chosen, f"one of your own: {key}._target_=my_parts.MyClass")
    same_target = presets_of(group, node[TARGET])
    known = {name for _, preset in same_target for name in preset}
    unlisted = [name for name in node if name not in (*known, *HYDRA_KEYS, *OWN_KEYS.get(group, ()))]
    if same_target and not unlisted:
        return node
    taken = arguments(find_target(key, node[TARGET]))
    taken = taken and [name for name in taken if name not in GIVEN.get(group, ())]
    strange = [] if taken is None else [name for name in unlisted if name not in taken]
    # A target that is no preset's was put into one on the command line, whose other arguments may not fit it.
    own = [name for name in strange if any(f"{key}.{name}".startswith(one) for one in given if one != group)]
    if own and taken is not None:
        likely = [name for name in known if own[0] in name] or taken
        close = did_you_mean(f"{key}.{own[0]}", [f"{key}.{name}" for name in likely])
        raise UserError(f"There is no setting '{key}.{own[0]}'.{close}", f"{node[TARGET]} takes: {shorten(taken)}")
    return {name: value for name, value in node.items() if name not in strange}


def find_target(key: str, path: str) -> Callable[..., Any]:
    """Return the class or function of a dotted path. Raises UserError where there is none."""
    try:
        target = resolve_name(path)
    except Exception as error:  # an import may raise anything
        module, _, name = path.rpartition(".")
        try:
            close = did_you_mean(name, dir(resolve_name(module)))
        except Exception:
            close = ""
        problem = f"{key}._target_={path} cannot be imported: {first_line(error)}{close}"
        raise UserError(problem, "as in torch.optim.NAdam, or of a file my_parts.py: my_parts.MyClass") from error
    if not callable(target):
        raise UserError(f"{key}._target_={path} is no class or function.", "as in torch.optim.NAdam")
    return target  # type: ignore[no-any-return]


def arguments(target: Callable[..., Any]) -> list[str] | None:
    """Return the names of the arguments that a target takes; None where it takes any."""
    maker = next((kind for kind in getattr(target, "__mro__", ()) if "__init__" in vars(kind)), None)
    if getattr(maker, "__module__", "") == "torch.nn.modules.module":
        return []  # a module without an __init__ of its own seems to take anything; torch.compile replaces Module's
    try:
        kinds = {one.name: one.kind for one in inspect.signature(target).parameters.values()}
    except (TypeError, ValueError):
        return None
    anything = inspect.Parameter.VAR_KEYWORD in kinds.values()
    return None if anything else [name for name, kind in kinds.items() if kind is not inspect.Parameter.VAR_POSITIONAL]


def build(
    key: str, node: Mapping[str, Any], *args: Any, context: Mapping[str, Any] = {}, kind: type = object, **given: Any
) -> Any:
    """Return what a node's `_target_` makes of its arguments, `args` and `given`; context: ${...} of the node.

    Raises UserError where the arguments are refused, and where what is made is not of the given kind.
    """
    root = OmegaConf.create({**context, "built": {**node, "_partial_": True, "_convert_": "all"}})
    for name in OWN_KEYS.get(key, ()):
        root.built.pop(name, None)
    try:
        made = instantiate(root.built)(*args, **given)
    except UserError:
        raise
    except Exception as error:  # a target may raise anything
        cause = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
        module = cause.name if isinstance(cause, ModuleNotFoundError) else None
        shown = f"its settings: python train.py --cfg job --package {key.partition('.')[0]}"
        step = f"pip install {module.partition('.')[0]}" if module else shown
        raise UserError(f"{key}: {node[TARGET]} cannot be made: {first_line(cause)}", step) from cause
    if not isinstance(made, kind):
        step = f"a class that inherits {kind.__module__}.{kind.__qualname__}"
        raise UserError(f"{key}: {node[TARGET]} makes no {kind.__name__}.", step)
    return made
