// One picture by Plotly, in the colours of the page; it keeps what a person zoomed into while data come.

const BUTTONS = {
  displaylogo: false,
  responsive: false,
  modeBarButtonsToRemove: ["autoScale2d", "zoomIn2d", "zoomOut2d", "toggleSpikelines"],
  toImageButtonOptions: { scale: 3, filename: "ainerd" },
};

/** An axis in the page's colours; `more` is Plotly's. */
function axis(theme, title, more = {}) {
  const colours = {
    color: theme.soft,
    gridcolor: theme.line,
    linecolor: theme.line,
    zeroline: false,
    showline: true,
    mirror: true,
  };
  return {
    ...colours,
    ticks: "outside",
    ticklen: 3,
    tickcolor: theme.line,
    title: { text: escaped(title), font: { size: theme.size * 0.92, color: theme.soft }, standoff: 6 },
    automargin: false,
    ...more,
  };
}

/** Text for Plotly, which takes some markup: what was typed stays what it is. */
function escaped(text) {
  return String(text ?? "")
    .replace(/&/g, "&amp;")
    .replace(/</g, "&lt;")
    .replace(/>/g, "&gt;");
}

/**
 * `label` says to a screen reader what is seen; `on` are Plotly's events by name; `name` is for `data-ainerd`.
 *
 * `height` is a CSS length; without it the picture fills its parent.
 */
function Plot({ traces, layout, label, on = {}, height, name, menu = "hover", drawn }) {
  const place = useRef(null),
    heard = useRef(on);
  const [lib, setLib] = useState(window.Plotly ?? null);
  const [error, setError] = useState(null);
  const theme = useTheme();
  heard.current = on;
  useEffect(() => {
    let wanted = true;
    if (!lib)
      plotly().then(
        (loaded) => wanted && setLib(() => loaded),
        (failed) => wanted && setError(failed),
      );
    return () => void (wanted = false);
  }, []);
  useEffect(() => {
    const element = place.current;
    if (!lib || !element) return;
    const fonts = { family: "inherit", size: theme.size * 0.88, color: theme.ink };
    const all = {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { ...fonts, family: getComputedStyle(element).fontFamily },
      showlegend: false,
      hovermode: "closest",
      uirevision: "same",
      autosize: true,
      hoverlabel: {
        bgcolor: theme.paper,
        bordercolor: theme.line,
        font: { size: theme.size * 0.92, color: theme.ink },
      },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: theme.soft, activecolor: theme.ink, orientation: "h" },
      ...layout,
      margin: { l: 4.4 * theme.size, b: 3.2 * theme.size, r: 10, t: 8, pad: 0, ...layout.margin },
    };
    const box = element.getBoundingClientRect();
    all.width = Math.max(80, Math.floor(box.width));
    all.height = Math.max(60, Math.floor(box.height));
    const first = !element.classList.contains("js-plotly-plot");
    lib.react(element, traces, all, { ...BUTTONS, displayModeBar: menu }).then(
      () => {
        element.dataset.drawn = "yes";
        drawn?.(element);
      },
      (failed) => setError(failed),
    );
    if (first)
      for (const event of [
        "plotly_click",
        "plotly_hover",
        "plotly_unhover",
        "plotly_selected",
        "plotly_deselect",
        "plotly_relayout",
      ])
        element.on(event, (said) => heard.current[event.slice(7)]?.(said, element));
  }, [lib, traces, layout, theme.dark, theme.size]);
  useEffect(() => {
    const element = place.current;
    if (!lib || !element) return;
    const watch = new ResizeObserver(([entry]) => {
      const { width, height: high } = entry.contentRect;
      const now = element._fullLayout;
      if (now && width > 40 && high > 40 && (Math.abs(now.width - width) > 1 || Math.abs(now.height - high) > 1))
        lib.relayout(element, { width: Math.floor(width), height: Math.floor(high) }).catch(() => {}); // overtaken by another drawing
    });
    watch.observe(element);
    return () => {
      watch.disconnect();
      lib.purge(element);
    };
  }, [lib]);
  if (error) return h("p", { className: "nothing", role: "alert" }, `This picture cannot be drawn: ${error.message}`);
  return h("div", {
    ref: place,
    className: "plot",
    role: "img",
    "aria-label": label,
    "data-ainerd": name,
    style: height ? { height } : undefined,
  });
}

// Many runs as dots of one picture: thousands of marks that can be pointed at would make a page slow.

const MARKS = 500; // the newest are marks, all others dots
const SIDE = 1000; // pixels of the picture

/** The runs that are marks, and the others as a picture for a layout of Plotly: `[marks, images]`; `x` and `y` are functions of a run. */
function useDots(runs, x, y, ranges, chosen, radius) {
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
function spread(runs, of) {
  let [low, high] = [Infinity, -Infinity];
  for (const run of runs) {
    const value = of(run);
    if (Number.isFinite(value)) [low, high] = [Math.min(low, value), Math.max(high, value)];
  }
  const margin = 0.06 * (high - low || 1);
  return [low - margin, high + margin];
}

/** Whether a point lies within a polygon of corners. */
function within(x, y, xs, ys) {
  let inside = false;
  for (let k = 0, j = xs.length - 1; k < xs.length; j = k++) {
    if (ys[k] > y !== ys[j] > y && x < ((xs[j] - xs[k]) * (y - ys[k])) / (ys[j] - ys[k]) + xs[k]) inside = !inside;
  }
  return inside;
}

// Runs as numbered discs in the colour of their regime, the novel ones ringed: the same on the map, in the latent space
// and over time.

const NUMBERED = 60; // with more runs, plain dots
const ROUGHLY = 0.012; // share of the range within which runs are at one place

/** What is said of a run where it is pointed at. */
function hover(run, scene) {
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
function discs(
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
function star(x, y, size) {
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
