"""Scatter against temperature."""

import numpy as np

arrays = {"gallery": ["variance"], "strip": ["variance"]}


def plot(result, figure):
    left, right = figure.subplots(1, 2)
    temperature, variance = result["temperature"].read(), result["variance"].read()
    for k, radius in enumerate(result["radius"].read()):
        left.plot(temperature, variance[:, k], label=f"{radius:g} px")
    left.set(xlabel="temperature (K)", ylabel="variance of the counts")
    left.legend()
    right.imshow(variance, aspect="auto")


def gallery(figure, scene, runs):
    newest = [key for key in runs.index if "variance" in scene.arrays.get(key, {})][-1:]
    axes = figure.subplots()
    for key in newest:
        axes.plot(scene.arrays[key]["variance"])
    axes.set(xlabel="frame", ylabel="variance of the counts")


def strip(axes, scene, runs):
    for key, of_run in scene.arrays.items():
        if "variance" in of_run:
            axes.bar(runs["number"][key], of_run["variance"].mean(), color=runs["colour"][key])
    axes.set_ylabel("mean variance")


def export(store, key, path):
    np.savez(path, variance=store.array(key, "variance"))
    return path
