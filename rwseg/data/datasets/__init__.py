"""Datasets: functions from a folder to cases, with labels, licence and split rule beside them."""
