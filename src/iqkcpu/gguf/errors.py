"""What is wrong with a file."""


class GGUFError(ValueError):
    """A file is no GGUF file, or a damaged one. The message names the file and the place."""
