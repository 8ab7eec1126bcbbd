// The latent space in two axes that stay what they are; a lasso chooses runs, a run pointed at shows its picture.
import { spread, useDots, within } from "./dots.js";
import { discs } from "./marks.js";
import { axis, escaped, Plot } from "./plot.js";
import { h, useMemo, useState } from "./react.js";
import { thumbnail } from "./server.js";
import { useTheme } from "./theme.js";
import { number, regimeName } from "./words.js";

/** `onPick` gets a run's key, `onChoose` the keys within a lasso (none: nothing is chosen). */
export function LatentMap({ scene, root, picture, selected, chosen, onPick, onChoose }) {
  const theme = useTheme();
  const [pointed, point] = useState(null);
  const placed = useMemo(() => scene.runs.filter((run) => run.done && Number.isFinite(run.u)), [scene.runs]);
  const [marks, dots] = useDots(
    placed,
    (run) => run.u,
    (run) => run.v,
    null,
    chosen,
    4,
  );
  const { traces, layout } = useMemo(() => {
    const { landmarks, share, of } = scene.latent;
    const traces = discs(marks, scene, theme, {
      x: (run) => run.u,
      y: (run) => run.v,
      size: 1.5 * theme.size,
      selected,
      chosen,
    });
    if (landmarks?.u?.length)
      traces.unshift({
        type: "scatter",
        mode: "markers",
        x: landmarks.u,
        y: landmarks.v,
        hoverinfo: "skip",
        name: "landmarks",
        marker: { size: 0.23 * theme.size, color: theme.line },
      });
    const share_of = (k, first) =>
      share?.[k]
        ? ` (${Math.round(100 * share[k])} %${first ? ` of the spread of the ${of === "landmarks" ? "landmarks" : "runs"}` : ""})`
        : "";
    const layout = {
      xaxis: axis(theme, "first principal axis" + share_of(0, true), {
        showgrid: false,
        ...(dots.length ? { range: spread(placed, (run) => run.u) } : {}),
      }),
      yaxis: axis(theme, "second" + share_of(1), {
        showgrid: false,
        ...(dots.length ? { range: spread(placed, (run) => run.v) } : {}),
      }),
      images: dots,
      annotations: names(landmarks, theme),
      dragmode: "lasso",
      margin: { r: 10, t: 8 },
      selections: chosen?.size ? undefined : [],
    };
    return { traces, layout };
  }, [scene, marks, dots, selected, chosen, theme.dark, theme.size]);
  const keysOf = (said) => (said?.points ?? []).map((each) => each.customdata).filter(Boolean);
  const on = {
    click: (said) => keysOf(said)[0] && onPick?.(keysOf(said)[0]),
    selected: (said) =>
      said &&
      onChoose?.(
        new Set(
          dots.length && said.lassoPoints
            ? placed.filter((run) => within(run.u, run.v, said.lassoPoints.x, said.lassoPoints.y)).map((run) => run.key)
            : keysOf(said),
        ),
      ),
    deselect: () => onChoose?.(new Set()),
    hover: (said, element) => {
      const key = keysOf(said)[0];
      if (!key) return;
      const box = element.getBoundingClientRect();
      const { clientX = box.left, clientY = box.top } = said.event ?? {};
      point({ key, left: clientX - box.left, top: clientY - box.top, wide: box.width });
    },
    unhover: () => point(null),
  };
  const label = `Latent space: ${scene.runs.length} runs, alike where they are near. The same is in the table of results, with others like one.`;
  return h(
    "div",
    { className: "fill" },
    h(Plot, { traces, layout, label, on, name: "latent" }),
    pointed && h(Card, { scene, root, picture, pointed }),
  );
}

function names(landmarks, theme) {
  if (!landmarks?.name?.length) return [];
  const groups = new Map();
  landmarks.name.forEach((name, k) => groups.set(name, [...(groups.get(name) ?? []), k]));
  const quantile = (values, q) => values.sort((a, b) => a - b)[Math.floor(q * (values.length - 1))];
  return [...groups].map(([name, members]) => ({
    x: quantile(
      members.map((k) => landmarks.u[k]),
      0.5,
    ),
    y: quantile(
      members.map((k) => landmarks.v[k]),
      0.75,
    ),
    yshift: 9,
    text: escaped(name),
    showarrow: false,
    font: { size: theme.size * 0.86, color: theme.soft },
    captureevents: false,
  }));
}

function Card({ scene, root, picture, pointed }) {
  const run = scene.byKey.get(pointed.key);
  if (!run) return null;
  const source = thumbnail(root, run.key, picture);
  const right = pointed.left > pointed.wide / 2;
  const style = {
    top: Math.max(0, pointed.top - 40),
    ...(right ? { right: pointed.wide - pointed.left + 16 } : { left: pointed.left + 16 }),
  };
  return h(
    "div",
    { className: "card", style },
    source && h("img", { src: source, alt: "", width: 96, height: 96 }),
    h("strong", null, `scan ${run.scan}`),
    h("span", null, regimeName(run.regime, scene.regimes)),
    h("span", null, run.p === null ? "no claim" : `p = ${number(run.p)}${run.novel ? ", novel" : ""}`),
  );
}
