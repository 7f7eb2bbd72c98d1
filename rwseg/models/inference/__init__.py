"""Inference: sliding window, whole volumes, and the predictor of one run or of an ensemble.

`predictor.Predictor` is a trained run, `folder.predict_folder` predicts a folder of images with some of
them, `sliding_window.predict_slices` is the window. Where runs lie and how they are loaded is
`rwseg.experiments`'.
"""
