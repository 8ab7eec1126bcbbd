// The map of the sample and the map of the latent space.
const MOST_ARROWS = 30; // steps of the path with an arrowhead
const OPACITY = 0.45; // of a regime that is certain

/**
 * The runs on the sample, the regimes that are believed to lie there and how surely, and the next point.
 *
 * `onPick` gets a run's key, `onPlace` a position that was clicked. With more than two knobs, a press on one draws it along
 * y, and the one that was along y along x.
 */
function SampleMap({ scene, selected, chosen, onPick, onPlace }) {
  const theme = useTheme();
  const onClick = useRef(onPlace);
  onClick.current = (x, y) => onPlace({ [xName]: x, ...(yName && { [yName]: y }) });
  const [wanted, want] = useState([]);
  const [xName, yName] = [...wanted, ...scene.motors.filter((name) => !wanted.includes(name))];
  const [x, y] = [(run) => run.place[xName], (run) => (yName ? run.place[yName] : 0)];
  const bounds = [scene.bounds[xName], yName ? scene.bounds[yName] : [-1, 1]];
  const [marks, images] = useMarks(scene.runs, x, y, bounds.every(Boolean) ? bounds : null, chosen, `${xName} ${yName}`);
  const { traces, layout } = useMemo(() => {
    const runs = placed(marks, x, y);
    const traces = discs(runs, scene, theme, { x, y, size: 1.5 * theme.size, selected, chosen });
    if (!images.length) traces.unshift(path(runs, x, y, theme));
    const next = scene.next?.position;
    if (next && Number.isFinite(next[xName]))
      traces.push(
        trace("next", [next], (at) => at[xName], (at) => (yName ? at[yName] : 0), {
          cliponaxis: false,
          marker: { symbol: "star", size: 2 * theme.size, color: NEXT, line: { width: 1.2, color: "#000000" } },
        }),
      );
    const later = scene.queue.filter((each) => each.id !== scene.next?.id && Number.isFinite(each.position[xName]));
    traces.push(
      trace("queue", later, (each) => each.position[xName], (each) => (yName ? each.position[yName] : 0), {
        mode: "markers+text",
        marker: { symbol: "star", size: 1.2 * theme.size, color: NEXT, line: { width: 1, color: "#000000" } },
        text: later.map((each) => String(scene.queue.indexOf(each) + 1)),
        textposition: "top center",
        textfont: { size: theme.size, color: theme.ink },
        cliponaxis: false,
      }),
    );
    const [xRange, yRange] = bounds.map(
      (range) => range && [1.03 * range[0] - 0.03 * range[1], 1.03 * range[1] - 0.03 * range[0]],
    );
    const fitted = { constrain: "domain", showgrid: false };
    const anchored = scene.units[xName] === scene.units[yName] ? { scaleanchor: "x" } : {};
    const layout = {
      xaxis: axis(theme, labelled(xName ?? "", scene.units[xName]), { range: xRange, ...fitted }),
      yaxis: yName
        ? axis(theme, labelled(yName, scene.units[yName]), { range: yRange, ...anchored, ...fitted })
        : axis(theme, "", { range: bounds[1], showgrid: false, showticklabels: false }),
      images: [...beliefImages(scene), ...images],
      shapes: scene.excluded.map((region) => box(region, xName, yName, scene.bounds, theme)),
      dragmode: "pan",
      margin: { r: 10, t: 8 },
    };
    return { traces, layout };
  }, [scene, marks, images, selected, chosen, xName, yName, theme.dark, theme.size]);
  const regimes = scene.regimes.filter((each) => each.id >= 0).length;
  const next = scene.next ? `; next point at ${place(scene.next.position, scene.units)}` : "";
  const content = `${scene.runs.length} runs in ${regimes} regimes${next}`;
  const label = `Map of the sample: ${content}. The same is in the table of results.`;
  const on = { click: (event) => keysOf(event)[0] && onPick?.(keysOf(event)[0]) };
  const chip = (name) => {
    const attributes = { key: name, className: "small", "aria-pressed": name === xName || name === yName };
    return button(short(name), () => want([name === yName ? xName : yName, name]), attributes);
  };
  const chips = { className: "row strips", role: "group", "aria-label": "knobs along x and y" };
  return h(
    "div",
    { className: "fill column" },
    scene.motors.length > 2 && h("div", chips, scene.motors.map(chip)),
    h(Plot, { traces, layout, label, on, name: "map", drawn: (element) => listen(element, onClick) }),
  );
}

/** The path from run to run, with an arrowhead in the middle of each of the newest steps. */
function path(runs, x, y, theme) {
  const points = [];
  runs.forEach((run, k) => {
    const before = runs[k - 1];
    if (before) {
      const moved = x(before) !== x(run) || y(before) !== y(run);
      const size = moved && k > runs.length - MOST_ARROWS ? 0.7 * theme.size : 0;
      points.push([(x(before) + x(run)) / 2, (y(before) + y(run)) / 2, size]);
    }
    points.push([x(run), y(run), 0]);
  });
  const size = points.map((point) => point[2]);
  return trace("path", points, (point) => point[0], (point) => point[1], {
    mode: "lines+markers",
    line: { color: theme.soft, width: 0.8 },
    opacity: 0.8,
    marker: { symbol: "arrow", angleref: "previous", size, color: theme.soft, line: { width: 0 } },
  });
}

/** An image of the believed regimes in their colors, paler where they are less certain; none without a belief. */
function beliefImages({ belief, bounds, motors }) {
  if (!belief?.regime?.length) return [];
  const { regime: regimes, confidence } = belief;
  const canvas = pixelCanvas(belief.x.length, regimes.length / belief.x.length, (k) => {
    const opacity = regimes[k] >= 0 ? OPACITY * Math.min(1, Math.max(0, confidence[k] ?? 0)) : 0;
    return [...rgb(regimeColor(regimes[k])), 255 * opacity];
  });
  const edges = (values, range) => {
    const half = values.length > 1 ? (values[1] - values[0]) / 2 : 0.5;
    return range ?? [values[0] - half, values.at(-1) + half];
  };
  const yEdges = motors[1] ? edges(belief.y, bounds[motors[1]]) : [-1, 1];
  return [image(canvas.toDataURL(), edges(belief.x, bounds[motors[0]]), yEdges)];
}

function box(region, xName, yName, bounds, theme) {
  const [x0, x1] = region[xName] ?? bounds[xName] ?? [0, 1];
  const [y0, y1] = region[yName] ?? bounds[yName] ?? [-1, 1];
  const line = { color: theme.soft, width: 1, dash: "dot" };
  const label = { text: "excluded", font: { size: theme.size * 0.8, color: theme.soft } };
  return { type: "rect", xref: "x", x0, x1, yref: "y", y0, y1, line, fillcolor: theme.band, layer: "below", label };
}

/** Call the function in `onClick` with the position of each click in the picture. */
function listen(element, onClick) {
  if (element.__listens) return;
  element.__listens = true;
  element.addEventListener("click", (event) => {
    const { xaxis, yaxis } = element._fullLayout;
    const box = element.querySelector(".nsewdrag")?.getBoundingClientRect();
    const [x, y] = box ? [event.clientX - box.left, event.clientY - box.top] : [];
    if (x >= 0 && x <= box.width && y >= 0 && y <= box.height) onClick.current(xaxis.p2d(x), yaxis.p2d(y));
  });
}

/** The latent space in two axes that do not change; `onPick` gets a run's key, `onChoose` the keys in a lasso. */
function LatentMap({ scene, root, picture, selected, chosen, onPick, onChoose }) {
  const theme = useTheme();
  const [pointed, point] = useState(null);
  const [x, y] = [(run) => run.u, (run) => run.v];
  const runs = useMemo(() => scene.runs.filter((run) => run.done && Number.isFinite(run.u)), [scene.runs]);
  const [marks, images] = useMarks(runs, x, y, null, chosen);
  const { traces, layout } = useMemo(() => {
    const { landmarks, share, of } = scene.latent;
    const traces = discs(marks, scene, theme, { x, y, size: 1.5 * theme.size, selected, chosen });
    const marker = { size: 0.23 * theme.size, color: theme.line };
    if (landmarks?.u?.length)
      traces.unshift(trace("landmarks", landmarks.u, (u) => u, (_, k) => landmarks.v[k], { marker }));
    const spreadOf = ` of the variation among ${of === "landmarks" ? "simulated exposures" : "the runs"}`;
    const isNarrow = window.innerWidth < 640;
    const percent = (k, more) => (share?.[k] ? ` (${Math.round(100 * share[k])} %${more})` : "");
    const range = (coordinate) => (images.length ? { range: spread(runs, coordinate) } : {});
    const layout = {
      xaxis: axis(theme, (of ? "first principal axis" : "first of the latent numbers") + percent(0, isNarrow ? "" : spreadOf), { showgrid: false, ...range(x) }),
      yaxis: axis(theme, "second" + percent(1, ""), { showgrid: false, ...range(y) }),
      images,
      annotations: landmarkNames(landmarks, theme),
      dragmode: "lasso",
      margin: { r: 10, t: 8 },
      selections: chosen?.size ? undefined : [],
    };
    return { traces, layout };
  }, [scene, marks, images, selected, chosen, theme.dark, theme.size]);
  const isInside = ({ x, y }) => (run) => isWithin(run.u, run.v, x, y);
  const on = {
    click: (event) => keysOf(event)[0] && onPick(keysOf(event)[0]),
    selected: (event) => {
      if (!event) return;
      const drawn = images.length && event.lassoPoints && runs.filter(isInside(event.lassoPoints));
      onChoose(new Set(drawn ? drawn.map((run) => run.key) : keysOf(event)));
    },
    deselect: () => onChoose(new Set()),
    hover: (event, element) => {
      const key = keysOf(event)[0];
      if (!key) return;
      const box = element.getBoundingClientRect();
      const { clientX = box.left, clientY = box.top } = event.event ?? {};
      point({ key, left: clientX - box.left, top: clientY - box.top, wide: box.width });
    },
    unhover: () => point(null),
  };
  const near = `${scene.runs.length} runs; near runs are similar`;
  const label = `Latent space: ${near}. The same is in the table of results, with others like one.`;
  return h(
    "div",
    { className: "fill" },
    h(Plot, { traces, layout, label, on, name: "latent" }),
    pointed && h(Card, { scene, root, picture, pointed }),
  );
}

/** Whether a point is within a polygon with these corners. */
function isWithin(x, y, xs, ys) {
  let inside = false;
  for (let k = 0, j = xs.length - 1; k < xs.length; j = k++) {
    if (ys[k] > y !== ys[j] > y && x < ((xs[j] - xs[k]) * (y - ys[k])) / (ys[j] - ys[k]) + xs[k]) inside = !inside;
  }
  return inside;
}

/** The name of each group of landmarks above its middle; one that would lie on another is left out. */
function landmarkNames(landmarks, theme) {
  const groups = Map.groupBy(landmarks?.name?.keys() ?? [], (k) => landmarks.name[k]);
  const quantile = (column, members, q) => {
    const values = members.map((k) => column[k]).sort((a, b) => a - b);
    return values[Math.floor(q * (values.length - 1))];
  };
  const look = { showarrow: false, yshift: 9, font: { size: 0.86 * theme.size, color: theme.soft }, captureevents: false };
  const names = [...groups].map(([name, members]) => {
    const [x, y] = [quantile(landmarks.u, members, 0.5), quantile(landmarks.v, members, 0.75)];
    return { x, y, text: escaped(name), ...look };
  });
  const share = (column, a, b) => Math.abs(a - b) / (quantile(column, [...column.keys()], 1) - quantile(column, [...column.keys()], 0));
  const wide = window.innerWidth < 640 ? 0.24 : 0.1;
  const isOver = (a, b) => share(landmarks.u, a.x, b.x) < wide && share(landmarks.v, a.y, b.y) < 0.045;
  return names.filter((name, k) => !names.slice(0, k).some((other) => isOver(name, other)));
}

function Card({ scene, root, picture, pointed }) {
  const run = scene.byKey.get(pointed.key);
  if (!run) return null;
  const { left, wide } = pointed;
  const side = left > wide / 2 ? { right: wide - left + 16 } : { left: left + 16 };
  return h(
    "div",
    { className: "card", style: { top: Math.max(0, pointed.top - 40), ...side } },
    picture && h(Picture, { address: thumbnail(root, run.key, picture), alt: "", width: 96, height: 96 }),
    h("strong", null, runName(run.scan)),
    h("span", null, regimeName(run.regime, scene.regimes)),
    h("span", null, run.p === null ? "no p-value" : `p = ${number(run.p)}${run.novel ? ", novel" : ""}`),
  );
}
