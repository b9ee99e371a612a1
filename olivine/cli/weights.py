"""`olivine weights`: network weights from and to other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from olivine.cli.options import BackboneOption, JsonOption, StoreOption

weights_app = typer.Typer(help="Network weights from and to other programs.", no_args_is_help=True)

LayoutOption = Annotated[str, typer.Option(help="Whose layout: `olivine weights layouts` lists them.")]
NetworkOption = Annotated[
    str, typer.Option("--recipe", help="Recipe whose network it is, where the file does not say.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="With --recipe: finetune.network.field=value. May be repeated."),
]


@weights_app.command("import")
def weights_import(
    source: Annotated[Path, typer.Argument(help="A checkpoint (.pt, .pth, .ckpt, .safetensors) or a folder.")],
    layout: LayoutOption,
    licence: Annotated[str, typer.Option(help="Licence of the data it was trained on: nuScenes is non-commercial.")],
    store: StoreOption = "./store",
    recipe: NetworkOption = "",
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a backbone in the store from weights of another program. Nothing in the file is run."""
    from olivine.exchange.command import run_import

    run_import(store, source, layout, licence, recipe, set_, as_json)


@weights_app.command("export")
def weights_export(
    backbone: BackboneOption,
    layout: LayoutOption,
    out: Annotated[Path, typer.Option(help="File or folder to write; it may not be there yet.")],
    store: StoreOption = "./store",
) -> None:
    """Write a backbone as another program reads it."""
    from olivine.exchange.command import run_export

    run_export(store, backbone, layout, out)


@weights_app.command("inspect")
def weights_inspect(
    source: Annotated[Path, typer.Argument(help="A checkpoint or a folder.")],
    recipe: NetworkOption = "",
    set_: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is in a file of weights, and which layouts it fits."""
    from olivine.exchange.command import run_inspect

    run_inspect(source, recipe, set_, as_json)


@weights_app.command("layouts")
def weights_layouts() -> None:
    """List the layouts, one line each."""
    from olivine.exchange.command import layout_lines

    print("\n".join(layout_lines()))
