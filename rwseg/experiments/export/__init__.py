"""Trained runs that leave the house: as a hub folder, an ONNX file, a torch.export program.

`hub_folder.write_hub_folder`, `graph.write_onnx` and `graph.write_program` write them;
`rwseg.experiments.load_run` reads the first two. `description` goes with both.
"""
