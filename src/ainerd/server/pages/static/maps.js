// Where the runs were, which regime is believed to lie where and how surely, and where next.

const STEPS = 30; // of the path that have an arrowhead
const PALE = 0.45; // of a regime that is sure

/** `show`: whether path and certainty are drawn; `onPick` gets a run's key, `onPlace` a position that was clicked. */
function SampleMap({ scene, selected, chosen, show = {}, onPick, onPlace }) {
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
function shade(belief) {
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

// The latent space in two axes that stay what they are; a lasso chooses runs, a run pointed at shows its picture.

/** `onPick` gets a run's key, `onChoose` the keys within a lasso (none: nothing is chosen). */
function LatentMap({ scene, root, picture, selected, chosen, onPick, onChoose }) {
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
