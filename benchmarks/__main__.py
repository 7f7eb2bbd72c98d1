"""All benchmarks of this folder, on the phantom where they need data: python -m benchmarks."""

from benchmarks import augmentation, losses, maps, preparation, training_step

if __name__ == "__main__":
    for benchmark in (preparation, augmentation, maps, losses, training_step):
        benchmark.main([])
