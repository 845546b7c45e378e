"""Names that become parts of paths and lines on a terminal. Standard library only."""

LONGEST = 120
"""Bytes. With what is put before and after it, a name still fits a file system's 255."""


def flaw_of_name(name: str) -> str | None:
    """What is wrong with a name that people read: nothing, or for example 'is too long'."""
    if not name.strip():
        return "must not be empty"
    if not name.isprintable():
        return "must be printable characters"
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST:
        return f"must have at most {LONGEST} bytes"
    return None


def flaw_of_file_name(name: str) -> str | None:
    """The same of a name that a file or a folder is called by, which may lead nowhere else."""
    if "/" in name or "\\" in name:
        return "must not contain / or \\"
    if name.startswith("."):
        return "must not begin with a dot"
    return flaw_of_name(name)
