"""rwseg: region-wise losses for 2D biomedical image segmentation (Valverde and Tohka, 2023)."""

__version__ = "0.1.0"
