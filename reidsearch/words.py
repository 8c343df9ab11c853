"""Numbers in sentences."""


def counted(count: int, one: str, many: str | None = None) -> str:
    """``1 crop``, ``2 crops``; ``many`` is what several are called, by default with an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def one_in(rate: float) -> str:
    """A rate as ``1 in 10,000``."""
    return f"1 in {1 / rate:,.0f}"
