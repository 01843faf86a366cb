"""The ``mcp`` command: the product's verbs as tools for a model, over standard input and output."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scenario_gen.cli.manners import Optional
from scenario_gen.cli.serve import Folders, guard_of, need_extra

MCP_EXIT_CODES = (
    "Exit codes: 0 the client closed the connection; 2 a mistake in the arguments, or the root is taken; 1 a defect of "
    "scenario-gen (with a traceback); 130 interrupted: jobs wait for the next server of the root."
)


def mcp(
    root: Annotated[Path, typer.Option("--root", help="Folder of the runs and jobs.")] = Path("runs"),
    workers: Annotated[int, typer.Option("--workers", min=1, max=256, help="Jobs at once.")] = 1,
    strategies: Folders = None,
    data: Folders = None,
    models: Folders = None,
    allow_network: Annotated[list[str] | None, Optional(help="A source that may be asked, or hub: models.")] = None,
) -> None:
    """Offer drafting, running and reading of runs as tools (Model Context Protocol, stdio).

    A client starts this command and speaks with it; nothing listens on the network.
    Specs may name the strategies of strategies/ (or --strategies), no data, no models
    and no network but what is allowed here, as with scenario-gen serve, which offers
    the same tools over HTTP with --mcp.

    For example:

      scenario-gen mcp --root runs

      scenario-gen mcp --root runs --data bars --allow-network yahoo
    """
    need_extra("mcp", "mcp", "fastapi")
    from scenario_gen.cli.explain import named
    from scenario_gen.serve.app import LOOPBACK, Api, ServerSettings
    from scenario_gen.serve.mcp import create_tools

    folders = (strategies or [Path("strategies")], data or [], models or [])
    guard = guard_of(root, folders, allow_network or [])
    create_tools(Api(ServerSettings(guard, workers, 32, LOOPBACK)), named).run("stdio")
