"""Networks: the 2D U-Net, the planner that sizes it for a dataset, and inference with trained weights.

`unet.UNet`, `own_network.OwnNetwork` for any other, `planner.plan_of`; `inference` predicts whole volumes.
How networks are trained is `training`.
"""
