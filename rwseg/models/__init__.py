"""Networks: the 2D U-Net, the planner that sizes it for a dataset, and inference with trained weights.

`unet.UNet` and `planner.plan_of`; `inference` predicts whole volumes. How networks are trained is
`training`.
"""
