// Runs as numbered discs in the colour of their regime, the novel ones ringed: the same on the map, in the latent space
// and over time.
import { inkOn, NEXT } from "./colours.js";
import { escaped } from "./plot.js";
import { number, regimeName } from "./words.js";

const NUMBERED = 60; // with more runs, plain dots
const ROUGHLY = 0.012; // share of the range within which runs are at one place

/** What is said of a run where it is pointed at. */
export function hover(run, scene) {
  const p = run.p === null ? "no claim of novelty" : `p = ${number(run.p)}`;
  return escaped(
    `scan ${run.scan}: ${run.failed ? "failed" : regimeName(run.regime, scene.regimes)}, ${run.novel ? "NOVEL, " : ""}${p}`,
  );
}

/**
 * Traces of `runs` at (`x`, `y`), functions of a run: novel ones ringed, the `selected` one in a square, failed ones as crosses.
 *
 * `size` is the diameter in px.
 */
export function discs(
  runs,
  scene,
  theme,
  { x, y, size, axes = {}, selected, chosen, numbered = runs.length <= NUMBERED },
) {
  const there = runs.filter((run) => run.done && Number.isFinite(x(run)) && Number.isFinite(y(run)));
  const failed = runs.filter((run) => run.failed && Number.isFinite(x(run)) && Number.isFinite(y(run)));
  const d = numbered ? size : Math.max(5, size * 0.5);
  const common = { type: "scatter", ...axes, hoverinfo: "text", showlegend: false };
  const at = (of) => ({ x: of.map(x), y: of.map(y) });
  const labels = numbered ? grouped(there, x, y) : [];
  const picked = there.filter((run) => run.key === selected);
  const faint = chosen?.size ? there.map((run) => (chosen.has(run.key) ? 1 : 0.25)) : 1;
  return [
    {
      ...common,
      ...at(there.filter((run) => run.novel)),
      mode: "markers",
      hoverinfo: "skip",
      name: "novel",
      marker: { size: 1.5 * d + 2, symbol: "circle-open", color: theme.ink, line: { width: 2, color: theme.ink } },
    },
    {
      ...common,
      ...at(picked),
      mode: "markers",
      hoverinfo: "skip",
      name: "selected",
      marker: { size: 1.5 * d + 5, symbol: "square-open", color: theme.ink, line: { width: 1.5 } },
    },
    {
      ...common,
      ...at(there),
      mode: numbered ? "markers+text" : "markers",
      name: "runs",
      customdata: there.map((run) => run.key),
      text: numbered ? there.map((run, k) => escaped(labels[k])) : undefined,
      hovertext: there.map((run) => hover(run, scene)),
      textfont: { size: d * 0.52, color: there.map((run) => inkOn(run.colour)) },
      cliponaxis: false,
      marker: {
        size: d,
        color: there.map((run) => run.colour),
        opacity: faint,
        line: { width: 0.8, color: theme.paper },
      },
      selected: { marker: { opacity: 1 } },
      unselected: { marker: { opacity: 0.25 } },
    },
    {
      ...common,
      ...at(failed),
      mode: "markers",
      name: "failed",
      customdata: failed.map((run) => run.key),
      hovertext: failed.map((run) => hover(run, scene)),
      marker: { symbol: "x-thin", size: 0.6 * d, line: { width: 2, color: theme.soft } },
    },
  ];
}

/** The number on each disc: of runs that lie upon each other the last one says all. */
function grouped(runs, x, y) {
  const range = (of) => Math.max(...runs.map(of)) - Math.min(...runs.map(of)) || 1;
  const [wide, high] = [range(x) * ROUGHLY, range(y) * ROUGHLY];
  const groups = new Map();
  const names = runs.map((run) => {
    const name = `${Math.round(x(run) / wide)} ${Math.round(y(run) / high)}`;
    groups.set(name, [...(groups.get(name) ?? []), run]);
    return name;
  });
  return runs.map((run, k) => {
    const same = groups.get(names[k]);
    if (same.at(-1) !== run) return "";
    return same.length < 3 ? same.map((each) => each.scan).join(",") : `${same[0].scan}…${run.scan}`;
  });
}

/** The star of the next point. */
export function star(x, y, size) {
  return {
    type: "scatter",
    mode: "markers",
    x: [x],
    y: [y],
    hoverinfo: "skip",
    name: "next",
    cliponaxis: false,
    marker: { symbol: "star", size, color: NEXT, line: { width: 1.2, color: "#000000" } },
  };
}
