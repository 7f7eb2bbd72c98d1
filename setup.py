"""What pyproject.toml cannot say: `conf/` and `docs/results/` are packages of rwseg in a wheel."""

from setuptools import find_namespace_packages, find_packages, setup

OPTIONS = ["rwseg.conf", *(f"rwseg.conf.{group}" for group in find_namespace_packages("conf"))]

setup(
    packages=[*find_packages(include=["rwseg*"]), "hydra_plugins", "rwseg.baselines", *OPTIONS],
    package_dir={"rwseg.conf": "conf", "rwseg.baselines": "docs/results"},
)
