"""Puts the schemas into Hydra's ConfigStore, and registers our resolvers; Hydra imports this at its start."""

from hydra.core.config_store import ConfigStore

import rwseg.experiments.config.conf  # noqa: F401
from rwseg.experiments.config.schema import SCHEMAS

for name, schema in SCHEMAS.items():
    ConfigStore.instance().store(name=f"{name}_schema", node=schema, provider="rwseg")
