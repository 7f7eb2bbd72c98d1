"""Data: from files to batches.

`datasets` knows layouts, `io` files, `preprocessing` arrays made once, `sampling` and `augmentation`
batches; `case.Dataset`, `case.Source` and `case.Case` are what they hand on, `datamodule.SliceDataModule`
is Lightning's. No network, no loss, no configuration file.
"""
