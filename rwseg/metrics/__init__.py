"""Metrics of segmentations: Dice and Hausdorff distances of whole volumes, class by class.

`case_metrics` is a row per class of one volume, `averages.class_means` the means that every table prints.
Comparisons of means are statistics.
"""

from rwseg.metrics.volume_metrics import ClassMetrics, MissedPolicy, case_metrics

__all__ = ["ClassMetrics", "MissedPolicy", "case_metrics"]
