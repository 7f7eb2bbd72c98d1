"""All benchmarks of this folder, on the phantom where they need data: python -m benchmarks."""

from benchmarks import (
    augmentation,
    inference,
    losses,
    maps,
    preparation,
    training_step,
    training_step_nnunet,
)

if __name__ == "__main__":
    for benchmark in (
        preparation,
        augmentation,
        maps,
        losses,
        inference,
        training_step,
        training_step_nnunet,
    ):
        benchmark.main([])
