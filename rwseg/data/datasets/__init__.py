"""Datasets: functions from a folder to cases, with labels, licence and split rule beside them.

One module for each layout, such as `acdc.ACDC`, `folder.FOLDER` and `phantom.PHANTOM`. They look at names
and small text files; images are read by `rwseg.data.io`.
"""
