"""What sweeps are doing now."""
