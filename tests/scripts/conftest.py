"""What the tests of scripts share: the scripts can be imported, and their mistakes are caught."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "scripts"))


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a verb that ends with exit code 2, and return its message on one screen."""

    def run(verb: Callable[..., None], *arguments: object) -> str:
        with pytest.raises(SystemExit, match=r"^2$"):
            verb(*arguments)
        message = capsys.readouterr().err
        assert "Traceback" not in message
        assert "  -> " in message
        return message

    return run
