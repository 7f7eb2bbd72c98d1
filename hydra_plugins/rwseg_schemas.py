"""Puts the schemas into Hydra's ConfigStore; Hydra imports this wherever it starts."""

from hydra.core.config_store import ConfigStore

from rwseg.experiments.config.schema import SCHEMAS

for name, schema in SCHEMAS.items():
    ConfigStore.instance().store(name=f"{name}_schema", node=schema, provider="rwseg")
