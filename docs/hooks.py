"""Pages of the site that are made while it is built, so that none can differ from what it is made of.

README's sections become pages; the models of a spec its reference and the JSON schema for editors; the public names of
``scenario_gen`` the page of the API; notebooks under ``docs/notebooks`` pages with the outputs that are stored in them.
Links to other files of the repository lead to copies of them in the site.
"""

from __future__ import annotations

import html
import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from markdown.extensions.toc import slugify
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import scenario_gen
from scenario_gen.spec.loader import spec_schema

ROOT = Path(__file__).parent.parent
BESIDE = ("BENCHMARKS.md", "CHANGELOG.md", "CONTRIBUTING.md")  # pages at the root of the repository
LINK = re.compile(r"(\]\()([^)\s]+)(\))")
FENCE = re.compile(r"^\s*(```|~~~)")
SCHEMA = "spec.schema.json"
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
LENGTHS = {"minLength": "at least {} characters", "maxLength": "at most {} characters"}
LENGTHS |= {"minItems": "at least {} of them", "maxItems": "at most {} of them"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is made to the files of the site, and say in which order pages stand."""
    sections = dict(sections_of((ROOT / "README.md").read_text(encoding="utf-8")))
    homes = {slug: page for page, text in sections.items() for slug in slugs_of(text)}
    links = Links(homes)
    pages = {page: links.led_on(text, "README.md", page) for page, text in sections.items()}
    pages |= {name: links.led_on((ROOT / name).read_text(encoding="utf-8"), name, name) for name in BESIDE}
    for written in [file for file in files if file.src_uri in ("from-kronos.md", "json.md")]:
        files.remove(written)
        text = (ROOT / "docs" / written.src_uri).read_text(encoding="utf-8")
        pages[written.src_uri] = links.led_on(text, f"docs/{written.src_uri}", written.src_uri)
    pages |= {"spec.md": spec_page(spec_schema()), "api.md": api_page()}
    notebooks = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
    pages |= {f"notebooks/{book.stem}.md": notebook_page(book) for book in notebooks}
    for page, text in pages.items():
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, SCHEMA, content=json.dumps(spec_schema(), indent=2)))
    for copied in sorted(links.copied):
        files.append(File.generated(config, copied, abs_src_path=str(ROOT / copied)))
    config.nav = [
        {"scenario-gen": ["index.md", *[page for page in sections if page != "index.md"]]},
        {"Notebooks": [f"notebooks/{book.stem}.md" for book in notebooks]},
        {"Reference": ["spec.md", "json.md", "api.md"]},
        {"From Kronos": "from-kronos.md"},
        {"About": list(BESIDE)},
    ]
    return files


# --- README, cut at its headings, and links between files of the repository ---


def outside_fences(text: str) -> Iterator[tuple[str, bool]]:
    """Yield each line, and whether it is prose: no line of a block of code."""
    fenced = False
    for line in text.splitlines():
        mark = bool(FENCE.match(line))
        yield line, not fenced and not mark
        fenced ^= mark


def sections_of(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of a page, headed by ``#``, for what comes before the first ``##`` and for each section."""
    page, lines = "index.md", list[str]()
    for line, prose in outside_fences(text):
        if prose and line.startswith("## "):
            yield page, "\n".join(lines)
            page, lines = f"guide/{slug_of(line)}.md", []
        deeper = prose and line.startswith("##")
        lines.append(line[1:] if deeper else line)
    yield page, "\n".join(lines)


def slug_of(heading: str) -> str:
    """Return the anchor of a heading."""
    return slugify(heading.lstrip("# "), "-")


def slugs_of(text: str) -> list[str]:
    """Return the anchors of a page."""
    return [slug_of(line) for line, prose in outside_fences(text) if prose and line.startswith("#")]


class Links:
    """Leads links from place to place: from files of the repository to pages and copies in the site.

    Attributes:
        copied: files of the repository that pages link to, and that are no pages.
    """

    def __init__(self, homes: dict[str, str]) -> None:
        """Take the page of each anchor of README."""
        self.homes = homes
        self.copied: set[str] = set()

    def led_on(self, text: str, source: str, page: str) -> str:
        """Return a text of the file ``source`` as it stands on ``page``; links to folders are left as they are read."""
        lines = [
            LINK.sub(lambda link: self._led(link, source, page), line) if prose else line
            for line, prose in outside_fences(text)
        ]
        return "\n".join(re.sub(r"\[([^\]]+)\]\(\)", r"\1", line) for line in lines)

    def _led(self, link: re.Match[str], source: str, page: str) -> str:
        target, _, anchor = link[2].partition("#")
        if ":" in target:
            return link[0]
        place = posixpath.normpath(posixpath.join(posixpath.dirname(source), target)) if target else source
        if (ROOT / place).is_dir():
            return "]()"
        if place == "README.md":
            uri = self.homes.get(anchor, "index.md")
        else:
            uri = re.sub(r"\.ipynb$", ".md", place.removeprefix("docs/"))  # a notebook is a page
            if uri == place and place not in BESIDE:
                self.copied.add(place)
        led = posixpath.relpath(uri, posixpath.dirname(page) or ".")
        return f"{link[1]}{led}{'#' + anchor if anchor else ''})"


# --- The reference of a spec, from the schema that the models give ---


def spec_page(schema: dict[str, Any]) -> str:
    """Return the reference: the top of a spec, what a scenario and an asset add, and every section's fields."""
    top = schema["properties"]
    definitions = schema["$defs"]
    parts = [
        "# Every field of a spec",
        "Made from the models that read a spec: names, types, defaults and bounds are those that are held to. "
        "A field that is not listed is refused, with the nearest right name.",
        "## In an editor",
        f"[`{SCHEMA}`]({SCHEMA}) is the JSON schema of a spec; `scenario-gen schema` prints the same. With the YAML "
        "extension of VS Code, or any editor with `yaml-language-server`, this first line of a spec gives completion, "
        "descriptions and checks:",
        f"```yaml\n# yaml-language-server: $schema=./{SCHEMA}\n```",
        "JetBrains IDEs take the file under *Languages & Frameworks > Schemas and DTDs > JSON Schema Mappings*.",
        "## The top of a spec",
        table(top, schema["required"]),
    ]
    for key, heading in (("scenarios", "A scenario"), ("assets", "An asset")):
        items = top[key]["items"]
        parts += [f"## {heading}", f"One entry of `{key}`.", table(items["properties"], items["required"])]
    for name in sorted(definitions):
        model = definitions[name]
        parts += [f"## {name}", cell(model["description"]), table(model["properties"], model.get("required", []))]
    return "\n\n".join(parts) + "\n"


def table(fields: dict[str, Any], required: list[str]) -> str:
    """Return the fields as a table."""
    rows = [
        f"| `{name}` | {kind_of(field)} | {default_of(field, name in required)} | {bounds_of(field)} "
        f"| {cell(field.get('description', ''))} |"
        for name, field in fields.items()
    ]
    return "\n".join(["| field | type | default | bounds | what it is |", "|---|---|---|---|---|", *rows])


def kind_of(field: dict[str, Any]) -> str:
    """Return the type of a field in words, with links to sections."""
    if "$ref" in field:
        anchor, *inside = field["$ref"].removeprefix("#/$defs/").split("/")
        words = f"as in {anchor}" if inside else anchor
        return f"[{words}](#{anchor.lower()})"
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(kind_of(choice) for choice in field["anyOf"]))
    if "enum" in field:
        return ", ".join(f"`{json.dumps(value)}`" for value in field["enum"])
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    kind = str(field.get("type", "any"))
    if kind == "array":
        return f"list of {kind_of(field['items'])}" if "items" in field else "list"
    return {"null": "nothing", "object": "mapping", "string": "text"}.get(kind, kind)


def default_of(field: dict[str, Any], required: bool) -> str:
    """Return what stands for a field that is left out."""
    if required:
        return "**required**"
    return cell(f"`{json.dumps(field['default'], ensure_ascii=False)}`") if field.get("default") is not None else ""


def bounds_of(field: dict[str, Any]) -> str:
    """Return the limits of a value; those of alternatives, one after the other."""
    here = [
        f"{sign} {field[key]:{',' if isinstance(field[key], int) else 'g'}}"
        for key, sign in BOUNDS.items()
        if key in field
    ]
    here += [words.format(field[key]) for key, words in LENGTHS.items() if key in field]
    here = [cell(", ".join(here))] if here else []
    if (
        "pattern" in field
    ):  # as entities, so that neither Markdown nor its tables read the signs of a pattern as their own
        here.append(f"<code>{''.join(f'&#{ord(sign)};' for sign in field['pattern'])}</code>")
    inside = [bounds_of(choice) for choice in field.get("anyOf", [])]
    return "; ".join(part for part in [*here, *inside] if part)


def cell(text: str) -> str:
    """Return a text as it may stand in a table: in a line, and no HTML."""
    return html.escape(" ".join(text.split()), quote=False).replace("|", "\\|")


# --- Public names, and notebooks ---


def api_page() -> str:
    """Return a page on which mkdocstrings puts every public name of the package."""
    names = [name for name in dir(scenario_gen) if not name.startswith("_")]
    return (
        "# Python\n\n`import scenario_gen as sg`\n\n" + "\n\n".join(f"::: scenario_gen.{name}" for name in names) + "\n"
    )


def notebook_page(file: Path) -> str:
    """Return a notebook as it was executed: its text, its code and what each cell showed."""
    parts = []
    for each in json.loads(file.read_text(encoding="utf-8"))["cells"]:
        source = "".join(each["source"])
        parts.append(source if each["cell_type"] == "markdown" else f"```python\n{source}\n```")
        parts += [shown(output) for output in each.get("outputs", [])]
    return "\n\n".join(parts) + "\n"


def shown(output: dict[str, Any]) -> str:
    """Return an output as Markdown: a table or picture where there is one, or else its text."""
    data = {kind: "".join(value) for kind, value in output.get("data", {}).items()}
    if "image/png" in data:
        return f"![output](data:image/png;base64,{''.join(data['image/png'].split())})"
    if "text/html" in data:
        return "<div>" + " ".join(line for line in data["text/html"].splitlines() if line.strip()) + "</div>"
    text = data.get("text/plain") or "".join(output.get("text", ""))
    return f"```text\n{text.rstrip()}\n```"
