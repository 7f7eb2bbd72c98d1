"""What is wrong with an installation or a dataset, before hours are spent.

`installation.installation` and `examine.examine` find, `findings.print_findings` tells. Nothing is
repaired.
"""
