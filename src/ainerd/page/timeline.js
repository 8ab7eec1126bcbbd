// Run after run: the p-value, the regime, and the measured values.
const NEWEST = 60; // runs shown at first
const MOST_RUNS = 1000;
const MOST_STRIPS = 3; // quantities for which there is room
const OUTSIDE = 1.3; // above the range of p: runs without p

/** Strips over the runs: p, the regimes, and the quantities that a person selects; at first one, and the series. */
function Timeline({ scene, selected, chosen, onPick }) {
  const theme = useTheme();
  const [wanted, want] = useState(null);
  const names = scene.quantities;
  const usual = [...names.slice(0, 1), ...names.slice(1).filter((name) => name.endsWith("_mean"))].slice(0, 2);
  const shown = (wanted ?? usual).filter((name) => names.includes(name));
  const toggle = (name) =>
    want(shown.includes(name) ? shown.filter((each) => each !== name) : [...shown, name].slice(-MOST_STRIPS));
  const { traces, layout } = useMemo(
    () => timelinePicture(scene, shown, selected, chosen, theme),
    [scene, shown.join(), selected, chosen, theme.dark, theme.size],
  );
  const on = { click: (event) => keysOf(event)[0] && onPick(keysOf(event)[0]) };
  const what = ["regime", ...shown].join(", ");
  const label = `Run after run: p of ${scene.runs.length} runs, novel up to ${number(scene.alpha)}, ${what}.`;
  const chip = (name) => {
    const attributes = { key: name, className: "small", "aria-pressed": shown.includes(name) };
    return button(short(name), () => toggle(name), attributes);
  };
  const chips = { className: "row strips", role: "group", "aria-label": "quantities shown" };
  return h(
    "div",
    { className: "fill column" },
    names.length > 1 && h("div", chips, names.map(chip)),
    h(Plot, { traces, layout, label, on, name: "timeline" }),
  );
}

function timelinePicture(scene, shown, selected, chosen, theme) {
  const { alpha } = scene;
  const runs = scene.runs.slice(-MOST_RUNS);
  const done = runs.filter((run) => run.done);
  const recent = runs.slice(-NEWEST);
  const x = (run) => run.number;
  const claims = runs.filter((run) => run.p !== null);
  const floor = Math.log10(Math.min(alpha, ...claims.map((run) => run.p || 1e-4)) / 4);

  // Heights as shares of the picture: the strip of p, that of the regimes (0.06), and one for each quantity.
  const gap = 0.035;
  const height = (1 - gap * (1 + shown.length) - 0.06) / (1.25 + shown.length);
  const bottom = 1 - 1.25 * height;
  const top = bottom - 2 * gap - 0.06;
  const domains = shown.map((_, k) => {
    const above = top - k * (height + gap);
    return [Math.max(0, above - height), above];
  });

  const first = recent[0]?.number ?? 1;
  const every = Math.max(1, Math.ceil(recent.length / 15));
  const ticks = recent.filter((_, k) => k % every === 0);
  const corner = { xref: "paper", x: 0.003, xanchor: "left", yref: "y", y: Math.log10(alpha), yanchor: "top" };
  const font = { size: theme.size * 0.8, color: theme.soft };
  const log = { type: "log", exponentformat: "power", fixedrange: true };
  const bare = { showticklabels: false, ticks: "", showgrid: false, fixedrange: true };
  const label = { showticklabels: true, tickvals: [0.5], ticktext: ["regime"] };
  const whole = { xref: "paper", x0: 0, x1: 1, yref: "y", layer: "below" };
  const layout = {
    xaxis: axis(theme, "scan, in order of time", {
      range: [first - 0.6, Math.max(runs.at(-1)?.number ?? 0, first + 5) + 0.6],
      tickvals: ticks.map(x),
      ticktext: ticks.map((run) => escaped(run.scan)),
      showgrid: false,
      anchor: shown.length ? `y${shown.length + 2}` : "y2",
    }),
    yaxis: axis(theme, "p (small: novel)", { range: [floor, -0.25 * floor], domain: [bottom, 1], dtick: 1, ...log }),
    yaxis2: axis(theme, "", { range: [0, 1], domain: [top + gap, bottom - gap * 0.7], ...bare, ...label }),
    shapes: [
      { ...whole, type: "rect", y0: 10 ** floor, y1: alpha, fillcolor: theme.band, line: { width: 0 } },
      { ...whole, type: "line", y0: alpha, y1: alpha, line: { color: theme.ink, width: 1, dash: "dash" } },
    ],
    annotations: [{ ...corner, text: `below ${number(alpha)}: novel`, showarrow: false, font }],
    bargap: 0,
    dragmode: "pan",
    margin: { r: 6, t: 6 },
  };

  const size = 1.35 * theme.size;
  const numbered = recent.length <= (window.innerWidth < 640 ? 12 : 40);
  const unclaimed = done.filter((run) => run.p === null);
  const color = (run) => run.color;
  const level = (run) => (run.failed ? OUTSIDE : run.p === null ? NaN : Math.max(run.p, 10 ** floor));
  const traces = [
    ...discs(runs, scene, theme, { x, y: level, size, selected, chosen, numbered }),
    trace("no claim", unclaimed, x, () => OUTSIDE, {
      ...pickable(unclaimed, (run) => hoverText(run, scene)),
      mode: "text",
      text: unclaimed.map(() => "?"),
      textfont: { size, color: unclaimed.map(color) },
    }),
    trace("regimes", done, x, () => 1, {
      ...pickable(done, (run) => escaped(`${runName(run.scan)}: ${regimeName(run.regime, scene.regimes)}`)),
      type: "bar",
      mode: undefined,
      width: 1,
      yaxis: "y2",
      marker: { color: done.map(color), line: { width: 0 } },
      textposition: "none",
    }),
  ];
  shown.forEach((name, k) => {
    const measured = runs.filter((run) => Number.isFinite(run.of[name]));
    const limited = runs.filter((run) => run.of[name] === null && limitsText(run.limits[name]));
    const values = [...measured.map((run) => run.of[name]), ...limited.flatMap((run) => run.limits[name]).filter(Number.isFinite)];
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const isLog = low > 0 && high > 20 * low;
    const unit = scene.units[name];
    const scale = isLog ? { ...log, dtick: high > 1e4 * low ? 2 : high > 100 * low ? 1 : "D2" } : { type: "linear", fixedrange: true };
    const title = labelled(short(name), unit);
    layout[`yaxis${k + 3}`] = axis(theme, title, { domain: domains[k], nticks: 4, ...scale });
    const text = (run) => escaped(`${runName(run.scan)}: ${short(name)} ${quantityText(run, name)}${isUnit(unit) ? ` ${unit}` : ""}`);
    const bars = (array) => ({ type: "data", symmetric: false, array, arrayminus: array.map(() => 0), width: 0, thickness: 1.5, color: theme.soft });
    const errors = measured.map((run) => run.errors[name] ?? 0);
    const look = (runs) => ({ ...pickable(runs, text), yaxis: `y${k + 3}` });
    const marker = (runs) => ({ size: 0.45 * theme.size, color: runs.map(color), line: { width: 0.5, color: theme.paper } });
    traces.push(
      trace(name, measured, x, (run) => run.of[name], {
        ...look(measured),
        mode: "lines+markers",
        line: { color: theme.line, width: 1 },
        marker: marker(measured),
        error_y: { ...bars(errors), arrayminus: errors },
      }),
      trace(`${name} limits`, limited, x, (run) => run.limits[name][0] ?? run.limits[name][1], {
        ...look(limited),
        marker: {
          ...marker(limited),
          symbol: limited.map(({ limits: { [name]: [low, high] } }) => (low === null ? "triangle-down" : high === null ? "triangle-up" : "line-ew")),
        },
        error_y: bars(limited.map(({ limits: { [name]: [low, high] } }) => (low === null || high === null ? 0 : high - low))),
      }),
    );
  });
  return { traces, layout };
}
