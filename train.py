"""Train one run, or a sweep of them with -m: python train.py loss=rrw dataset=acdc seed=0."""

from rwseg.commands.train import main

if __name__ == "__main__":
    main()
