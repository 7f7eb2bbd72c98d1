"""The errors that a user can cause and mend; commands print them without a traceback."""


class RwsegError(Exception):
    """Something the user can mend; the message names it, what was expected and found, and what to do."""


class ConfigError(RwsegError):
    """The configuration asks for something that does not exist or does not fit together."""


class DataError(RwsegError):
    """Files of a dataset are missing or faulty."""


class RunError(RwsegError):
    """A run directory cannot be used as asked."""


class ClaimLostError(RunError):
    """Another process has taken over what this one was writing."""
