"""What MkDocs calls while it builds the site: see ``hooks`` in mkdocs.yml."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation
from mkdocs.structure.pages import Page

log = get_plugin_logger("hooks")  # whose warnings a strict build fails on
ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))  # MkDocs puts nothing of the checkout there

from docs.made import commands, documents, errors, http, project, python, settings  # noqa: E402

SHEET = ROOT / ".github" / "sheet.jpg"  # the README's picture
COMMANDS = "reference/commands"
PAGES: Mapping[str, Callable[[], str]] = {
    f"{COMMANDS}/index.md": commands.index,
    "reference/python.md": python.documented,
    "reference/ranking.md": python.ranking,
    "reference/settings.md": settings.settings,
    "reference/documents.md": documents.documented,
    "reference/errors.md": errors.documented,
}
SUMMARY = "Find the same person across cameras: a Python package, a command line, an HTTP service."


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The commands' pages get their places in the navigation, and a site with several versions a
    list of them."""
    if "MIKE_DOCS_VERSION" in os.environ:  # else every page would look for a list that is not there
        config.extra["version"] = {"provider": "mike"}
    for section in config.nav or ():
        for entry in section.get("Reference", ()) if isinstance(section, dict) else ():
            if isinstance(entry, dict) and "Commands" in entry:
                entry["Commands"] = [
                    f"{COMMANDS}/index.md",
                    *({name: f"{COMMANDS}/{name}.md"} for name in commands.COMMANDS),
                ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages that are made join those that are written."""
    made = {path: make() for path, make in PAGES.items()}
    made |= {f"{COMMANDS}/{name}.md": commands.command(name) for name in commands.COMMANDS}
    made |= project.pages()
    told = http.description()
    made["reference/http.md"] = http.documented(told)
    made["reference/openapi.json"] = json.dumps(told, indent=1, ensure_ascii=False)
    for path, content in made.items():
        files.append(File.generated(config, path, content=content))
    files.append(File.generated(config, "sheet.jpg", abs_src_path=str(SHEET)))
    return files


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> Navigation:
    """Remember what there is, in order, for ``llms.txt``."""
    config.extra["pages_in_order"] = nav.pages
    return nav


def on_post_build(config: MkDocsConfig) -> None:
    """``llms.txt``: what there is, a line a page, for machines that read."""
    pages: list[Page] = config.extra["pages_in_order"]
    lines = ["# reidsearch", "", f"> {SUMMARY}"]
    section = None
    for one in pages:
        *_, top = one.ancestors
        if top.title != section:
            section = top.title
            lines += ["", f"## {section}", ""]
        said = one.meta.get("description")
        if not said:
            log.warning("%s has no description", one.file.src_uri)
        address = f"{(config.site_url or '').rstrip('/')}/{one.url}" if config.site_url else one.url
        lines.append(f"- [{one.title}]({address or './'}): {said}")
    Path(config.site_dir, "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
