"""What is typed: each module parses a command line, calls the packages below, and prints.

Nothing here computes; `rwseg NAME ...` runs `main` of the module of that name, such as `train.main`.
"""
