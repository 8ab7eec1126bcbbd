// Where the runs were, which regime is believed to lie where and how surely, and where next.
import { colour, rgb } from "./colours.js";
import { useDots } from "./dots.js";
import { discs, star } from "./marks.js";
import { axis, Plot } from "./plot.js";
import { h, useMemo } from "./react.js";
import { useTheme } from "./theme.js";
import { labelled, place } from "./words.js";

const STEPS = 30; // of the path that have an arrowhead
const PALE = 0.45; // of a regime that is sure

/** `show`: whether path and certainty are drawn; `onPick` gets a run's key, `onPlace` a position that was clicked. */
export function SampleMap({ scene, selected, chosen, show = {}, onPick, onPlace }) {
  const theme = useTheme();
  const [xName, yName] = scene.motors;
  const x = (run) => run.x;
  const y = (run) => (yName ? run.y : 0);
  const bounds = [xName, yName].map((name) => scene.bounds[name]);
  const [marks, dots] = useDots(scene.runs, x, y, bounds.every(Boolean) ? bounds : null, chosen, 4);
  const { traces, layout } = useMemo(() => {
    const placed = marks.filter((run) => Number.isFinite(run.x) && (!yName || Number.isFinite(run.y)));
    const traces = [
      ...(show.path === false || dots.length ? [] : [path(placed, x, y, theme)]),
      ...discs(placed, scene, theme, { x, y, size: 1.5 * theme.size, selected, chosen }),
    ];
    const following = scene.next?.position;
    if (following && Number.isFinite(following[xName]))
      traces.push(star(following[xName], yName ? following[yName] : 0, 2 * theme.size));
    const ranges = [xName, yName].map((name) => widened(scene.bounds[name]));
    const image = show.belief === false ? null : shade(scene.belief);
    const excluded = scene.excluded.map((region) => box(region, xName, yName, scene.bounds, theme));
    const layout = {
      xaxis: axis(theme, labelled(xName ?? "", scene.units[xName]), {
        range: ranges[0],
        constrain: "domain",
        showgrid: false,
      }),
      yaxis: axis(theme, yName ? labelled(yName, scene.units[yName]) : "", {
        range: ranges[1] ?? [-1, 1],
        showgrid: false,
        showticklabels: Boolean(yName),
        ...(yName ? { scaleanchor: "x", constrain: "domain" } : {}),
      }),
      images: [
        ...(image
          ? [{ source: image, xref: "x", yref: "y", ...extent(scene), sizing: "stretch", layer: "below" }]
          : []),
        ...dots,
      ],
      shapes: excluded,
      dragmode: "pan",
      margin: { r: 10, t: 8 },
    };
    return { traces, layout };
  }, [scene, marks, dots, selected, chosen, show.path, show.belief, theme.dark, theme.size]);
  const regimes = scene.regimes.filter((each) => each.id >= 0).length;
  const label =
    `Map of the sample: ${scene.runs.length} runs in ${regimes} regimes` +
    (scene.next ? `; next point at ${place(scene.next.position, scene.units)}` : "") +
    ". The same is in the table of results.";
  const on = {
    click: (said) => {
      const key = said.points.find((point) => point.customdata)?.customdata;
      if (key) onPick?.(key);
    },
  };
  return h(Plot, {
    traces,
    layout,
    label,
    on,
    name: "map",
    drawn: onPlace ? (element) => listen(element, onPlace) : undefined,
  });
}

function path(runs, x, y, theme) {
  // An arrowhead in the middle of each of the newest steps.
  const points = [],
    sizes = [];
  runs.forEach((run, k) => {
    if (k) {
      const before = runs[k - 1];
      const moved = x(before) !== x(run) || y(before) !== y(run);
      points.push([(x(before) + x(run)) / 2, (y(before) + y(run)) / 2]);
      sizes.push(moved && k > runs.length - STEPS ? 0.7 * theme.size : 0);
    }
    points.push([x(run), y(run)]);
    sizes.push(0);
  });
  return {
    type: "scatter",
    mode: "lines+markers",
    x: points.map((p) => p[0]),
    y: points.map((p) => p[1]),
    hoverinfo: "skip",
    name: "path",
    line: { color: theme.soft, width: 0.8 },
    opacity: 0.8,
    marker: { symbol: "arrow", angleref: "previous", size: sizes, color: theme.soft, line: { width: 0 } },
  };
}

function widened(range) {
  if (!range) return undefined;
  const margin = 0.03 * (range[1] - range[0]);
  return [range[0] - margin, range[1] + margin];
}

function extent(scene) {
  const edges = (values, bounds) => {
    if (bounds) return bounds;
    const half = values.length > 1 ? (values[1] - values[0]) / 2 : 0.5;
    return [values[0] - half, values.at(-1) + half];
  };
  const [x0, x1] = edges(scene.belief.x, scene.bounds[scene.motors[0]]);
  const [y0, y1] = scene.motors[1] ? edges(scene.belief.y, scene.bounds[scene.motors[1]]) : [-1, 1];
  return { x: x0, y: y1, sizex: x1 - x0, sizey: y1 - y0 };
}

/** A picture of each regime in its colour where it is believed to be, the paler the less sure; null without a belief. */
export function shade(belief) {
  if (!belief?.regime?.length) return null;
  const rows = Array.isArray(belief.regime[0]) ? belief.regime : [belief.regime];
  const sure = Array.isArray(belief.confidence[0]) ? belief.confidence : [belief.confidence];
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [rows[0].length, rows.length];
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(canvas.width, canvas.height);
  rows.forEach((row, j) =>
    row.forEach((regime, i) => {
      const at = 4 * ((rows.length - 1 - j) * canvas.width + i);
      image.data.set(rgb(colour(regime)), at);
      image.data[at + 3] = regime >= 0 ? 255 * PALE * Math.min(1, Math.max(0, sure[j][i] ?? 0)) : 0;
    }),
  );
  pen.putImageData(image, 0, 0);
  return canvas.toDataURL();
}

function box(region, xName, yName, bounds, theme) {
  const [x0, x1] = region[xName] ?? bounds[xName] ?? [0, 1];
  const [y0, y1] = region[yName] ?? bounds[yName] ?? [-1, 1];
  const line = { color: theme.soft, width: 1, dash: "dot" };
  return {
    type: "rect",
    xref: "x",
    yref: "y",
    x0,
    x1,
    y0,
    y1,
    line,
    fillcolor: theme.band,
    layer: "below",
    label: { text: "excluded", font: { size: theme.size * 0.8, color: theme.soft } },
  };
}

/** A click where there is no run says a position. */
function listen(element, onPlace) {
  element.__place = onPlace;
  if (element.__listens) return;
  element.__listens = true;
  element.addEventListener("click", (event) => {
    const { xaxis, yaxis } = element._fullLayout;
    const plot = element.querySelector(".nsewdrag")?.getBoundingClientRect();
    if (
      !plot ||
      event.clientX < plot.left ||
      event.clientX > plot.right ||
      event.clientY < plot.top ||
      event.clientY > plot.bottom
    )
      return;
    element.__place?.(xaxis.p2d(event.clientX - plot.left), yaxis.p2d(event.clientY - plot.top));
  });
}
