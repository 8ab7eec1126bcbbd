"""`ainerd mcp`: a server of the Model Context Protocol that answers questions about a campaign."""

from typing import Annotated

import typer

from ainerd.cli import Config, Tiled, results_at


def mcp(
    propose: Annotated[bool, typer.Option("--propose", help="Also offer a tool that asks for a position.")] = False,
    tiled: Tiled = None,
    config: Config = None,
) -> None:
    """Answer questions of a language model by the Model Context Protocol, on stdin and stdout.

    Configure this command in the program that has the language model; the program starts it. The command only reads,
    unless --propose is given.
    """
    with results_at(tiled, config) as store:
        try:
            from ainerd_mcp.answers import serving
        except ModuleNotFoundError as error:
            raise ValueError(f"this needs one package more: pip install 'ainerd[mcp]' ({error})") from None
        serving(store, propose=propose).run("stdio")
