"""Trained runs that leave the house: a hub folder, an ONNX file, a torch.export program."""
