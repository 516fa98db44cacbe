"""Record what PyTorch computes with weights by the code in docs/weights.md, for tests/results/test_weights.py.

PyTorch is not a dependency of the project; the files are those that `bn-ablate weights` writes.

python -m venv /tmp/torch && /tmp/torch/bin/pip install torch numpy safetensors
/tmp/torch/bin/python scripts/record_torch_weights.py FILE … > tests/results/torch_weights.json
"""

from __future__ import annotations

import base64
import json
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

PAGE = Path(__file__).resolve().parents[1] / "docs" / "weights.md"


def code() -> dict[str, Any]:
    """What the block of code that imports torch defines."""
    (block,) = (code for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "torch" in code)
    defined: dict[str, Any] = {}
    exec(compile(block, str(PAGE), "exec"), defined)
    return defined


def record(file: Path) -> dict[str, Any]:
    """Logits of random images by the network in `file`, and the file itself."""
    network, (mean, std) = code()["for_torch"](file)
    with import_module("safetensors").safe_open(file, "pt") as opened:
        height, width, channels = json.loads(opened.metadata()["network"])["image"]
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (5, height, width, channels), generator=generator, dtype=torch.uint8)
    with torch.no_grad():
        logits = network(((images - mean) / std).movedim(-1, 1))
    return {
        "file": base64.b64encode(file.read_bytes()).decode(),
        "images": images.tolist(),
        "logits": logits.tolist(),
    }


def main() -> int:
    """Print the records of the files named, and a file as the library itself writes it."""
    tensors = {"b": torch.arange(6.0).reshape(2, 3), "a/x": torch.tensor(2.5), "i": torch.tensor([1, -2])}
    save = import_module("safetensors.torch").save
    by_library = base64.b64encode(save(tensors, {"about": 'a "thing" of é'})).decode()
    said = {"torch": torch.__version__, "by_library": by_library, "lanes": [record(Path(f)) for f in sys.argv[1:]]}
    json.dump(said, sys.stdout)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
