"""The ``serve`` command: jobs over HTTP, from this machine alone unless keys were made."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenario_gen.cli.manners import AsJson, Optional, command_line, say, say_json
from scenario_gen.errors import ScenarioError, SpecError

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from scenario_gen.serve.app import Api, ServerSettings
    from scenario_gen.serve.guard import Guard

SERVE_EXIT_CODES = (
    "Exit codes: 0 a key was made; 2 a mistake in the arguments, or the root or the port is taken; 1 a defect of "
    "scenario-gen (with a traceback); 130 interrupted: jobs wait for the next server of the root."
)
Folders = Annotated[list[Path] | None, Optional(metavar="FOLDER", help="Specs may name what is in it; several may be.")]


def serve(
    root: Annotated[Path, typer.Option("--root", help="Folder of the runs and jobs.")] = Path("runs"),
    host: Annotated[str, typer.Option("--host", help="Address to listen on; another one needs keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0: any that is free.")] = 8000,
    name: Annotated[list[str] | None, Optional(help="One more name by which callers call this server.")] = None,
    workers: Annotated[int | None, Optional(min=1, max=256, help="Jobs at once; default: one per core.")] = None,
    queue: Annotated[int, typer.Option("--queue", min=1, max=100_000, help="Jobs that may wait.")] = 32,
    rate: Annotated[float, typer.Option("--rate", min=0.1, help="Requests a second of one client.")] = 50.0,
    strategies: Folders = None,
    data: Folders = None,
    models: Folders = None,
    allow_network: Annotated[list[str] | None, Optional(help="A source that may be asked, or hub: models.")] = None,
    allow_code: Annotated[
        Path | None, Optional(metavar="FOLDER", help="Take strategies over the wire into it: they are run as you.")
    ] = None,
    mcp: Annotated[bool, typer.Option("--mcp", help="Offer the tools of scenario-gen mcp, too, at /mcp.")] = False,
    make_key: Annotated[str | None, Optional(metavar="NAME", help="Make a key, print it, and leave.")] = None,
    scope: Annotated[list[str] | None, Optional(help="Of the new key: read, run or code; default: read, run.")] = None,
    as_json: AsJson = False,
) -> None:
    """Serve jobs over HTTP: post a spec, watch its job, read its run; a page at /.

    Listens on 127.0.0.1 unless another address is given, which needs keys. Specs may
    name the strategies of strategies/ (or --strategies), no data, no models and no
    network but what is allowed here. Jobs survive a kill and go on where they stopped.

    For example:

      scenario-gen serve --root runs

      scenario-gen serve --root runs --data bars --allow-network yahoo --workers 2

      scenario-gen serve --root runs --make-key ci --scope read --scope run

      scenario-gen serve --root runs --mcp
    """
    if scope and make_key is None:
        raise typer.BadParameter("belongs to --make-key", param_hint="--scope")
    need_extra("serve", "fastapi", "uvicorn", "prometheus_client")
    if mcp:
        need_extra("mcp", "mcp")
    if make_key is not None:
        return _make_key(root, make_key, scope or ["read", "run"], as_json=as_json)
    folders = (strategies or [Path("strategies")], data or [], models or [])
    guard = guard_of(root, folders, allow_network or [], allow_code)
    names = frozenset({host.lower(), *(each.lower() for each in name or [])})
    return _serve(guard, host, port, names, workers, queue, rate, tools=mcp, as_json=as_json)


def _make_key(root: Path, name: str, scopes: list[str], *, as_json: bool) -> None:
    from scenario_gen.cli.answers import ServedRoot
    from scenario_gen.serve.keys import Keys

    key = Keys(root).make(name, scopes)
    if as_json:
        return say_json(ServedRoot(str(root), "", 0, True, key, scopes))
    return say(f"{key}\nthe key of {name} ({', '.join(scopes)}); it is told this once: keep it")


def guard_of(
    root: Path, folders: tuple[list[Path], list[Path], list[Path]], network: list[str], code: Path | None = None
) -> Guard:
    """Return what specs over a wire may name: of strategies, data and models, sources, and a folder for code."""
    from scenario_gen.serve.guard import Guard

    strategies, data, models = map(tuple, folders)
    return Guard(root, strategies, data, models, frozenset(network), code)


def _serve(
    guard: Guard,
    host: str,
    port: int,
    names: frozenset[str],
    workers: int | None,
    queue: int,
    rate: float,
    *,
    tools: bool,
    as_json: bool,
) -> None:
    """Listen and serve; say where once the socket is there.

    Raises:
        ScenarioError: the address needs keys, or cannot be had; the root is another server's.
    """
    from scenario_gen.cli.answers import ServedRoot
    from scenario_gen.execute.queue import cores
    from scenario_gen.serve.app import LOOPBACK, ServerSettings
    from scenario_gen.serve.keys import Keys

    keyed, count = bool(Keys(guard.root)), workers or cores()
    _refuse_open(host, guard.root, keyed)
    settings = ServerSettings(guard, count, queue, LOOPBACK | names, rate, max(1, round(4 * rate)))
    with _listening(host, port) as sock:
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{sock.getsockname()[1]}"
        if as_json:
            say_json(ServedRoot(str(guard.root), address, count, keyed))
        else:
            say(
                f"serving {guard.root} on {address} ({count} jobs at once, {'keys' if keyed else 'this machine alone'})"
            )
        _run(settings, sock, tools=tools)


def need_extra(extra: str, *packages: str) -> None:
    """Refuse to begin without the packages of an extra, which is called as its command is.

    Raises:
        ScenarioError: with what to install.
    """
    from importlib.util import find_spec

    for package in packages:
        if find_spec(package) is None:
            raise ScenarioError(
                f"{extra} needs {package}, which is not installed",
                expected=f"the extra {extra} of scenario-gen",
                fix=f"pip install 'scenario-gen[{extra}]'",
            )


def _refuse_open(host: str, root: Path, keyed: bool) -> None:
    """Refuse an address that other machines reach where nobody needs a key.

    Raises:
        SpecError: with how to make one.
    """
    try:
        here = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = False
    if not here and not keyed:
        raise SpecError(
            f"--host {host} can be reached from other machines, and this root has no keys",
            expected="127.0.0.1, or a root with keys",
            fix=f"make a key, then begin again: {command_line('serve', root=root, **{'make-key': 'NAME'})}",
        )


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ScenarioError: the address or the port cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ScenarioError(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            expected="an address of this machine and a port that is free",
            fix="give another --port, or 0 for any that is free",
        ) from None


def _run(settings: ServerSettings, sock: socket.socket, *, tools: bool) -> None:
    """Serve until a signal ends it.

    Raises:
        StoreError: another server works on this root.
    """
    import uvicorn

    from scenario_gen.files import locked
    from scenario_gen.serve.app import create_app
    from scenario_gen.serve.jobs import JOBS

    app = create_app(settings, _tools_app if tools else None)
    with locked(settings.guard.root.resolve() / JOBS, "a server", "give another root"):
        pass  # told before anything listens; the workers take it for good
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, proxy_headers=False, lifespan="on",
        timeout_graceful_shutdown=5, timeout_keep_alive=15,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[sock])


def _tools_app(api: Api) -> Starlette:
    from scenario_gen.cli.explain import named
    from scenario_gen.serve.mcp import create_tools_app

    return create_tools_app(api, named)
