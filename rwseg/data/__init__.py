"""Data: from files to batches. `datasets` knows layouts, `io` files, `preprocessing` arrays made once,
`sampling` and `augmentation` batches; the data module hands them to Lightning.
"""
