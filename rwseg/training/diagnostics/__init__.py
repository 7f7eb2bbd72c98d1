"""What training measures of its own loss: wrong signs, terms, the gap to the minimum, lost classes."""
