"""Networks: the 2D U-Net, the planner that sizes it for a dataset, and inference with trained weights."""
