"""The error of everything that reads what an operator wrote."""


class ConfigError(Exception):
    """The configuration cannot be used; the text is one line for the operator."""
