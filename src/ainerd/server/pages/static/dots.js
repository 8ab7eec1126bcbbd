// Many runs as dots of one picture: thousands of marks that can be pointed at would make a page slow.
import { useMemo } from "./react.js";

export const MARKS = 500; // the newest are marks, all others dots
const SIDE = 1000; // pixels of the picture

/** The runs that are marks, and the others as a picture for a layout of Plotly: `[marks, images]`; `x` and `y` are functions of a run. */
export function useDots(runs, x, y, ranges, chosen, radius) {
  return useMemo(() => {
    if (runs.length <= MARKS) return [runs, []];
    const older = runs.slice(0, -MARKS).filter((run) => run.done && Number.isFinite(x(run)) && Number.isFinite(y(run)));
    const [[x0, x1], [y0, y1]] = ranges ?? [spread(runs, x), spread(runs, y)];
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = SIDE;
    const pen = canvas.getContext("2d");
    for (const run of older) {
      pen.globalAlpha = chosen?.size && !chosen.has(run.key) ? 0.12 : 0.75;
      pen.fillStyle = run.colour;
      pen.beginPath();
      pen.arc((SIDE * (x(run) - x0)) / (x1 - x0), SIDE * (1 - (y(run) - y0) / (y1 - y0)), radius, 0, 2 * Math.PI);
      pen.fill();
    }
    const image = {
      source: canvas.toDataURL(),
      xref: "x",
      yref: "y",
      x: x0,
      y: y1,
      sizex: x1 - x0,
      sizey: y1 - y0,
      sizing: "stretch",
      layer: "below",
    };
    return [runs.slice(-MARKS), [image]];
  }, [runs, chosen, radius, JSON.stringify(ranges)]);
}

/** From the least to the largest, and a margin. */
export function spread(runs, of) {
  let [low, high] = [Infinity, -Infinity];
  for (const run of runs) {
    const value = of(run);
    if (Number.isFinite(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
  }
  const margin = 0.06 * (high - low || 1);
  return [low - margin, high + margin];
}

/** Whether a point lies within a polygon of corners. */
export function within(x, y, xs, ys) {
  let inside = false;
  for (let k = 0, j = xs.length - 1; k < xs.length; j = k++) {
    if (ys[k] > y !== ys[j] > y && x < ((xs[j] - xs[k]) * (y - ys[k])) / (ys[j] - ys[k]) + xs[k]) inside = !inside;
  }
  return inside;
}
