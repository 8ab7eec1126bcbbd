"""Commands of rheo-XPCS: ``ainerd rheo-xpcs …``, most of them also available without the name."""

import typer

from ainerd.techniques.rheo_xpcs.commands._analyze import analyze
from ainerd.techniques.rheo_xpcs.commands._calibrate import calibrate
from ainerd.techniques.rheo_xpcs.commands._encode import encode, similar
from ainerd.techniques.rheo_xpcs.commands._train import train

app = typer.Typer(help="Rheo-XPCS: speckle movies of a sample that was sheared.", no_args_is_help=True)
for command in (analyze, encode, similar, calibrate):
    app.command()(command)
app.add_typer(train, name="train")
