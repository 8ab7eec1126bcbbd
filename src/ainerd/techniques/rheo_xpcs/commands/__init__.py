"""Commands of rheo-XPCS: ``ainerd rheo-xpcs …``, and without the name in short."""

import typer

from ainerd.techniques.rheo_xpcs.commands._analyze import analyze
from ainerd.techniques.rheo_xpcs.commands._calibrate import calibrate
from ainerd.techniques.rheo_xpcs.commands._encode import encode
from ainerd.techniques.rheo_xpcs.commands._train import train

app = typer.Typer(help="Speckle movies of a sample that was sheared.", no_args_is_help=True)
app.command()(analyze)
app.command()(encode)
app.command()(calibrate)
app.add_typer(train, name="train")
