"""All benchmarks of this folder on the phantom, one after another: python -m benchmarks."""

from benchmarks import preparation, training_step

if __name__ == "__main__":
    preparation.main([])
    training_step.main([])
