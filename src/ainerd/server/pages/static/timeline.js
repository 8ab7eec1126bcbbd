// Run after run: how new each was, and what was measured of it.

const NEWEST = 60; // runs that are seen at first
const MOST = 1000; // that can be gone back to
const STRIPS = 3; // quantities there is room for

/** Strips over the runs: p, regimes, and of the quantities those that a person wants, at first one and the series. */
function Timeline({ scene, selected, chosen, onPick }) {
  const theme = useTheme();
  const [wanted, want] = useState(null);
  const known = scene.quantities;
  const usual = [...known.slice(0, 1), ...known.slice(1).filter((name) => name.endsWith("_mean"))].slice(0, 2);
  const shown = (wanted ?? usual).filter((name) => known.includes(name));
  const toggle = (name) =>
    want(shown.includes(name) ? shown.filter((each) => each !== name) : [...shown, name].slice(-STRIPS));
  const { traces, layout } = useMemo(
    () => draw(scene, shown, selected, chosen, theme),
    [scene, shown.join(), selected, chosen, theme.dark, theme.size],
  );
  const on = { click: (said) => said.points[0]?.customdata && onPick?.(said.points[0].customdata) };
  const label = `Run after run: p of ${scene.runs.length} runs against alpha = ${number(scene.alpha)}, regime${shown.map((name) => `, ${name}`).join("")}.`;
  return h(
    "div",
    { className: "fill column" },
    known.length > 1 &&
      h(
        "div",
        { className: "row strips", role: "group", "aria-label": "quantities shown" },
        known.map((name) =>
          h(
            "button",
            {
              key: name,
              type: "button",
              className: "small",
              "aria-pressed": shown.includes(name),
              onClick: () => toggle(name),
            },
            short(name),
          ),
        ),
      ),
    h(Plot, { traces, layout, label, on, name: "timeline" }),
  );
}

function draw(scene, shown, selected, chosen, theme) {
  const runs = scene.runs.slice(-MOST);
  const { alpha } = scene;
  const x = (run) => run.number;
  const claims = runs.filter((run) => run.p !== null);
  const lowest = Math.min(alpha, ...claims.map((run) => run.p || 1e-4));
  const floor = Math.log10(lowest / 4);
  const strips = 1 + shown.length;
  const gap = 0.035;
  const tall = 1.25;
  const unit = (1 - gap * strips - 0.06) / (tall + shown.length);
  const tops = [1];
  const domain = [[1 - tall * unit, 1]];
  const regimes = [domain[0][0] - gap - 0.06, domain[0][0] - gap * 0.7];
  let top = regimes[0] - gap;
  shown.forEach(() => {
    domain.push([Math.max(0, top - unit), top]);
    top -= unit + gap;
  });
  const last = runs.at(-1)?.number ?? 0;
  const recent = runs.slice(-NEWEST);
  const first = recent[0]?.number ?? 1;
  const step = Math.max(1, Math.ceil(recent.length / 15));
  const ticks = recent.filter((_, k) => k % step === 0);
  const layout = {
    xaxis: axis(theme, "scan, in order of time", {
      range: [first - 0.6, Math.max(last, first + 5) + 0.6],
      tickvals: ticks.map(x),
      ticktext: ticks.map((run) => escaped(run.scan)),
      showgrid: false,
      anchor: shown.length ? `y${strips + 1}` : "y2",
    }),
    yaxis: axis(theme, "novelty p", {
      type: "log",
      range: [floor, 0.3],
      domain: domain[0],
      dtick: 1,
      exponentformat: "power",
      fixedrange: true,
    }),
    yaxis2: axis(theme, "", {
      domain: regimes,
      range: [0, 1],
      showticklabels: false,
      ticks: "",
      showgrid: false,
      fixedrange: true,
    }),
    shapes: [
      {
        type: "rect",
        xref: "paper",
        x0: 0,
        x1: 1,
        yref: "y",
        y0: 10 ** floor,
        y1: alpha,
        fillcolor: theme.band,
        line: { width: 0 },
        layer: "below",
      },
      {
        type: "line",
        xref: "paper",
        x0: 0,
        x1: 1,
        yref: "y",
        y0: alpha,
        y1: alpha,
        line: { color: theme.ink, width: 1, dash: "dash" },
        layer: "below",
      },
    ],
    annotations: [
      {
        xref: "paper",
        x: 0.003,
        xanchor: "left",
        yref: "y",
        y: Math.log10(alpha),
        yanchor: "top",
        text: `alpha = ${number(alpha)}`,
        showarrow: false,
        font: { size: theme.size * 0.8, color: theme.soft },
      },
    ],
    dragmode: "pan",
    margin: { r: 6, t: 6 },
  };
  const size = 1.35 * theme.size;
  const options = { x, size, selected, chosen, numbered: recent.length <= (window.innerWidth < 640 ? 12 : 40) };
  const traces = discs(claims, scene, theme, { ...options, y: (run) => Math.max(run.p, 10 ** floor) });
  const without = runs.filter((run) => run.done && run.p === null);
  const common = { type: "scatter", mode: "markers", hoverinfo: "text", showlegend: false };
  if (without.length)
    traces.push({
      ...common,
      mode: "text",
      x: without.map(x),
      y: without.map(() => 1.3),
      text: without.map(() => "?"),
      textfont: { size, color: without.map((run) => run.colour) },
      hovertext: without.map((run) => hover(run, scene)),
      customdata: without.map((run) => run.key),
    });
  const failed = runs.filter((run) => run.failed);
  traces.push({
    ...common,
    x: failed.map(x),
    y: failed.map(() => 1.3),
    marker: { symbol: "x-thin", size: size * 0.5, line: { width: 2, color: theme.soft } },
    hovertext: failed.map((run) => hover(run, scene)),
    customdata: failed.map((run) => run.key),
  });
  const done = runs.filter((run) => run.done);
  traces.push({
    type: "bar",
    x: done.map(x),
    y: done.map(() => 1),
    width: 1,
    yaxis: "y2",
    marker: { color: done.map((run) => run.colour), line: { width: 0 } },
    hoverinfo: "text",
    hovertext: done.map((run) => escaped(`scan ${run.scan}: ${regimeName(run.regime, scene.regimes)}`)),
    textposition: "none",
    customdata: done.map((run) => run.key),
  });
  layout.bargap = 0;
  shown.forEach((name, k) => {
    const known = runs.filter((run) => Number.isFinite(run.of[name]));
    const values = known.map((run) => run.of[name]);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const unit = scene.units[name];
    const log = low > 0 && high > 20 * low;
    layout[`yaxis${k + 3}`] = axis(theme, labelled(short(name), unit), {
      domain: domain[k + 1],
      type: log ? "log" : "linear",
      nticks: 4,
      fixedrange: true,
      ...(log ? { dtick: high > 1e4 * low ? 2 : 1, exponentformat: "power" } : {}),
    });
    traces.push({
      ...common,
      mode: "lines+markers",
      x: known.map(x),
      y: values,
      yaxis: `y${k + 3}`,
      customdata: known.map((run) => run.key),
      line: { color: theme.line, width: 1 },
      marker: {
        size: 0.45 * theme.size,
        color: known.map((run) => run.colour),
        line: { width: 0.5, color: theme.paper },
      },
      hovertext: known.map((run) =>
        escaped(
          `scan ${run.scan}: ${name.replaceAll("_", " ")} ${number(run.of[name])} ${unit && unit !== "1" ? unit : ""}`,
        ),
      ),
    });
  });
  return { traces, layout };
}
