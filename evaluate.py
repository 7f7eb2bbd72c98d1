"""Evaluate a run that train.py wrote, or predict new images with it: see `rwseg.commands.evaluate`."""

from rwseg.commands.evaluate import main

if __name__ == "__main__":
    main()
