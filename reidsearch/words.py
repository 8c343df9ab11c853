"""Numbers in sentences."""


def counted(count: int, one: str, many: str | None = None) -> str:
    """``1 crop``, ``2 crops``; ``many`` is what several are called, by default with an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
