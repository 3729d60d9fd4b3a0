"""What an operator types to see what their people are sent: ``flask mails preview``."""

from __future__ import annotations

from html import escape
from pathlib import Path

import click
from flask import Flask
from flask.cli import AppGroup

from billing import running, specimens
from billing.cli import Command
from billing.specimens import Specimen

mails = AppGroup("mails", help="The mails that people are sent.")


def init_app(app: Flask) -> None:
    """Add every command to ``flask``."""
    app.cli.add_command(mails)


@mails.command("preview", cls=Command)
@click.argument(
    "folder", type=click.Path(file_okay=False, path_type=Path), default=Path(".data/mail-preview")
)
def preview(folder: Path) -> None:
    """Write every mail there is into FOLDER, from samples, in each language; nothing is sent."""
    folder.mkdir(parents=True, exist_ok=True)
    found = list(specimens.every(running.config()))
    for one in found:
        (folder / f"{one.name}.subject.txt").write_text(one.subject + "\n", encoding="utf-8")
        (folder / f"{one.name}.txt").write_text(one.text, encoding="utf-8")
        (folder / f"{one.name}.html").write_text(one.html, encoding="utf-8")
    (folder / "index.html").write_text(_index(found), encoding="utf-8")
    click.echo(
        f"{len(found)} mails of {len({one.kind for one in found})} kinds: open {folder / 'index.html'}"
    )


def _index(found: list[Specimen]) -> str:
    lines = "\n".join(
        f'<tr><td>{one.kind}<td>{one.variant}<td>{one.locale}<td><a href="{one.name}.html">{escape(one.subject)}</a>'
        f'<td><a href="{one.name}.txt">text</a></tr>'
        for one in found
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Every mail</title>'
        "<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:2em}"
        "th,td{text-align:start;padding:.2em 1em .2em 0;vertical-align:top}</style><h1>Every mail</h1>"
        "<table><tr><th>Kind<th>Variant<th>Language<th>Subject<th>Text</tr>\n" + lines + "\n</table></html>\n"
    )
