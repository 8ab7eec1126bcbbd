"""Panels of the results of the toy."""

import numpy as np

arrays = {"strip": ("trajectory",)}


def plot(result, figure):
    axes = figure.subplots()
    axes.plot(result["trajectory"].read(), ".-")
    axes.set(xlabel="frame", ylabel="counts a pixel", title=f"{result.metadata['counts']:.3g} on average")


def strip(axes, scene, runs):
    for key, of_run in scene.arrays.items():
        trajectory = of_run["trajectory"]
        axes.plot(runs["number"][key] + np.linspace(-0.4, 0.4, len(trajectory)), trajectory, ".-")
    axes.set(ylabel="counts a pixel")
