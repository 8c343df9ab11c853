"""Pages as a parser sees them: their elements, and the text within each."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

OWN = ("data:image/jpeg;base64,", "data:image/png;base64,")
VOID = {"br", "img", "input", "meta", "link", "hr"}


@dataclass
class Element:
    """An element: its tag, attributes, and all elements within it, in order."""

    tag: str
    values: dict[str, str]
    children: "list[Element | str]" = field(default_factory=list)

    @property
    def classes(self) -> list[str]:
        return self.values.get("class", "").split()

    @property
    def text(self) -> str:
        """All text within, with single spaces."""
        parts = (one if isinstance(one, str) else one.text for one in self.children)
        return " ".join(" ".join(parts).split())

    def within(self) -> "Iterator[Element]":
        for one in self.children:
            if isinstance(one, Element):
                yield one
                yield from one.within()

    def all(self, tag: str | None = None, kind: str | None = None) -> "list[Element]":
        """Those of a tag and a class."""
        return [
            one
            for one in self.within()
            if tag in (None, one.tag) and (kind is None or kind in one.classes)
        ]

    def one(self, tag: str | None = None, kind: str | None = None) -> "Element":
        (found,) = self.all(tag, kind)
        return found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(made)
        if tag not in VOID:
            self.open.append(made)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> ends <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parsed(page: str) -> Element:
    """The page; every element in it ends where it must. Where a line may break is no part of it."""
    reader = _Reader()
    reader.feed(page.replace("<wbr>", ""))
    reader.close()
    assert reader.open == [reader.root]
    return reader.root


def facts(page: Element) -> dict[str, str]:
    """What a page's head says, by name."""
    names, values = (page.one("dl", "facts").all(tag) for tag in ("dt", "dd"))
    return {name.text: value.text for name, value in zip(names, values, strict=True)}


def loads_nothing(page: Element) -> None:
    """Fail where anything would be asked of another host, or of a file beside the page."""
    for one in page.within():
        for name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
            value = one.values.get(name, "#")
            assert value.startswith(("#", *OWN)), (one.tag, name, value)
        assert one.tag not in ("script", "iframe", "object", "link"), one.tag
        assert "style" not in one.values, one.values  # a strict policy would stop it
    for style in page.all("style"):
        assert "@import" not in style.text
