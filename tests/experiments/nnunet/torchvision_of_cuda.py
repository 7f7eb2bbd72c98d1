"""The `sitecustomize` of .venv-nnunet: for a torchvision built for CUDA beside a torch built without.

PyPI has no other torchvision. Where torch comes from elsewhere, torchvision's operators cannot be loaded, and
its import fails at those that it describes to torch. nnU-Net, which imports it by way of timm, uses none.
"""

import sys
from importlib.metadata import PackageNotFoundError, version


class Operators:
    """Asked before each import: declares what `import torchvision` describes, and finds nothing."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        if name == "torchvision":
            import torch

            for operator in ("nms", "qnms"):
                schema = "(Tensor dets, Tensor scores, float threshold) -> Tensor"
                torch.library.define(f"torchvision::{operator}", schema)


def of_other_builds() -> bool:
    try:
        return "+cpu" in version("torch") and "+" not in version("torchvision")
    except PackageNotFoundError:
        return False


if __name__ == "sitecustomize" and of_other_builds():
    sys.meta_path.insert(0, Operators)  # type: ignore[arg-type]
