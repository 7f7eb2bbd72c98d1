"""Metrics of segmentations: Dice and Hausdorff distances of whole volumes, class by class."""

from rwseg.metrics.volume_metrics import ClassMetrics, MissedPolicy, case_metrics

__all__ = ["ClassMetrics", "MissedPolicy", "case_metrics"]
