// Pictures by Plotly in the colors of the page, and the marks of runs in them.
const PLOTLY_OPTIONS = {
  displaylogo: false,
  responsive: false,
  plotlyServerURL: "",
  toImageButtonOptions: { scale: 3, filename: "ainerd" },
};
// All buttons of a picture's menu: Plotly's own choice has one that uploads the picture to a public cloud.
const BUTTONS = ["toImage", "zoom2d", "pan2d", "resetScale2d"];
const SELECTING = ["select2d", "lasso2d"];
const EVENTS = ["click", "hover", "unhover", "selected", "deselect", "relayout"];
const MOST_MARKS = 500; // the newest runs are marks; older ones are dots of one image, which is faster
const IMAGE_SIDE = 1000; // pixels
const MOST_NUMBERED = 60; // with more runs, marks have no numbers
const SAME_PLACE = 0.012; // share of the range within which runs are at one place

/** An axis in the page's colors; `more` are Plotly's properties. */
function axis(theme, title, more = {}) {
  return {
    color: theme.soft,
    gridcolor: theme.line,
    linecolor: theme.line,
    tickcolor: theme.line,
    zeroline: false,
    showline: true,
    mirror: true,
    ticks: "outside",
    ticklen: 3,
    title: { text: escaped(title), font: { size: theme.size * 0.92, color: theme.soft }, standoff: 6 },
    automargin: false,
    ...(more.exponentformat === "power" && { tickfont: { size: theme.size * 0.72 } }), // Plotly makes it larger by 1.25
    ...more,
  };
}

/** Text for Plotly, which would interpret markup in it. */
function escaped(text) {
  return String(text ?? "").replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

/**
 * A picture, which keeps a person's zoom while data arrive.
 *
 * `label` describes it to a screen reader; `on` are handlers of Plotly's events by name; `name` is its `data-ainerd`;
 * `height` is a CSS length, without which it fills its parent; `drawn` is called with its element after each drawing.
 */
function Plot({ traces, layout, label, on = {}, height, name, menu = "hover", drawn }) {
  const place = useRef(null);
  const handlers = useRef(on);
  handlers.current = on;
  const [drawingError, setDrawingError] = useState(null);
  const theme = useTheme();
  const loaded = useAsync(plotly, []);
  const lib = window.Plotly ?? loaded.value;
  useEffect(() => {
    const element = place.current;
    if (!lib || !element) return;
    const box = element.getBoundingClientRect();
    const transparent = "rgba(0,0,0,0)";
    const font = { size: theme.size * 0.92, color: theme.ink };
    const all = {
      paper_bgcolor: transparent,
      plot_bgcolor: transparent,
      font: { family: getComputedStyle(element).fontFamily, size: theme.size * 0.88, color: theme.ink },
      showlegend: false,
      hovermode: "closest",
      uirevision: "same",
      autosize: true,
      hoverlabel: { bgcolor: theme.paper, bordercolor: theme.line, font },
      modebar: { bgcolor: transparent, color: theme.soft, activecolor: theme.ink, orientation: "h" },
      ...layout,
      margin: { l: 4.4 * theme.size, b: 3.2 * theme.size, r: 10, t: 8, pad: 0, ...layout.margin },
      width: Math.max(80, Math.floor(box.width)),
      height: Math.max(60, Math.floor(box.height)),
    };
    const isFirst = !element.classList.contains("js-plotly-plot");
    const modeBarButtons = [handlers.current.selected ? [...BUTTONS, ...SELECTING] : BUTTONS];
    lib.react(element, traces, all, { ...PLOTLY_OPTIONS, modeBarButtons, displayModeBar: menu }).then(() => {
      element.dataset.drawn = "yes";
      drawn?.(element);
    }, setDrawingError);
    if (isFirst)
      for (const event of EVENTS) element.on(`plotly_${event}`, (data) => handlers.current[event]?.(data, element));
  }, [lib, traces, layout, theme.dark, theme.size]);
  useEffect(() => {
    const element = place.current;
    if (!lib || !element) return;
    const observer = new ResizeObserver(([entry]) => {
      const { width, height: high } = entry.contentRect;
      const now = element._fullLayout;
      if (now && width > 40 && high > 40 && (Math.abs(now.width - width) > 1 || Math.abs(now.height - high) > 1))
        lib.relayout(element, { width: Math.floor(width), height: Math.floor(high) }).catch(() => {}); // outdated
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      lib.purge(element);
    };
  }, [lib]);
  const error = loaded.error ?? drawingError;
  if (error) return nothing(`This picture cannot be drawn: ${error.message}`, "alert");
  return h("div", {
    ref: place,
    className: "plot",
    role: "img",
    "aria-label": label,
    "data-ainerd": name,
    style: height ? { height } : undefined,
  });
}

/** A trace of marks at (`x`, `y`), functions of a member; `more` are Plotly's properties. */
function trace(name, members, x, y, more) {
  const at = { x: members.map(x), y: members.map(y) };
  return { type: "scatter", mode: "markers", name, hoverinfo: "skip", ...at, ...more };
}

/** The properties of a trace of runs that a person can point at, to read a text, and click. */
const pickable = (runs, text) => ({
  hoverinfo: "text",
  customdata: runs.map((run) => run.key),
  hovertext: runs.map(text),
});

/** The keys of the runs that a person pointed at, clicked, or chose with a lasso. */
const keysOf = (event) => (event?.points ?? []).map((each) => each.customdata).filter(Boolean);

/** Runs with finite coordinates `x` and `y`, which are functions of a run. */
const placed = (runs, x, y) => runs.filter((run) => Number.isFinite(x(run)) && Number.isFinite(y(run)));

/** The runs that are marks, and the older ones as images of a layout: `[marks, images]`. */
function useMarks(runs, x, y, ranges, chosen, axes = "") {
  return useMemo(() => {
    if (runs.length <= MOST_MARKS) return [runs, []];
    const [[x0, x1], [y0, y1]] = ranges ?? [spread(runs, x), spread(runs, y)];
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = IMAGE_SIDE;
    const pen = canvas.getContext("2d");
    for (const run of placed(runs.slice(0, -MOST_MARKS), x, y).filter((run) => run.done)) {
      pen.globalAlpha = chosen?.size && !chosen.has(run.key) ? 0.12 : 0.75;
      pen.fillStyle = run.color;
      pen.beginPath();
      const [across, up] = [(x(run) - x0) / (x1 - x0), (y(run) - y0) / (y1 - y0)];
      pen.arc(IMAGE_SIDE * across, IMAGE_SIDE * (1 - up), 4, 0, 2 * Math.PI);
      pen.fill();
    }
    return [runs.slice(-MOST_MARKS), [image(canvas.toDataURL(), [x0, x1], [y0, y1])]];
  }, [runs, chosen, axes, JSON.stringify(ranges)]);
}

/** A canvas whose pixels have the colors `colorOf(k)`, as [red, green, blue, opacity], row by row from the bottom. */
function pixelCanvas(width, height, colorOf) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const pixels = new ImageData(width, height);
  for (let k = 0; k < width * height; k++)
    pixels.data.set(colorOf(k), 4 * ((height - 1 - Math.floor(k / width)) * width + (k % width)));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

/** An image of a layout that fills these ranges. */
function image(source, [x0, x1], [y0, y1]) {
  const extent = { x: x0, y: y1, sizex: x1 - x0, sizey: y1 - y0 };
  return { source, xref: "x", yref: "y", ...extent, sizing: "stretch", layer: "below" };
}

/** The range of a coordinate of runs, with a margin. */
function spread(runs, coordinate) {
  const values = runs.map(coordinate).filter(Number.isFinite);
  const low = values.reduce((a, b) => Math.min(a, b), Infinity);
  const high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const margin = 0.06 * (high - low || 1);
  return [low - margin, high + margin];
}

/** The text that is shown when a run is pointed at. */
function hoverText(run, scene) {
  const p = run.p === null ? "no p-value" : `p = ${number(run.p)}`;
  const regime = run.failed ? "failed" : regimeName(run.regime, scene.regimes);
  return escaped(`${runName(run.scan)}: ${regime}, ${run.novel ? "NOVEL, " : ""}${p}`);
}

/**
 * The traces of runs at (`x`, `y`), functions of a run: numbered discs in the color of their regime, novel ones with a
 * ring, the `selected` one in a square, failed ones as crosses. `size` is the diameter in pixels.
 */
function discs(runs, scene, theme, { x, y, size, selected, chosen, numbered = runs.length <= MOST_NUMBERED }) {
  const done = placed(runs, x, y).filter((run) => run.done);
  const failed = placed(runs, x, y).filter((run) => run.failed);
  const d = numbered ? size : Math.max(5, size * 0.5);
  const text = (run) => hoverText(run, scene);
  const outline = (symbol, size, width) => ({
    marker: { size, symbol, color: theme.ink, line: { width, color: theme.ink } },
  });
  const members = (name, filter, more) => trace(name, done.filter(filter), x, y, more);
  return [
    members("novel", (run) => run.novel, outline("circle-open", 1.5 * d + 2, 2)),
    members("selected", (run) => run.key === selected, outline("square-open", 1.5 * d + 5, 1.5)),
    trace("runs", done, x, y, {
      ...pickable(done, text),
      mode: numbered ? "markers+text" : "markers",
      text: numbered ? numbersOf(done, x, y).map(escaped) : undefined,
      textfont: { size: d * 0.52, color: done.map((run) => inkOn(run.color)) },
      cliponaxis: false,
      marker: {
        size: d,
        color: done.map((run) => run.color),
        opacity: chosen?.size ? done.map((run) => (chosen.has(run.key) ? 1 : 0.25)) : 1,
        line: { width: 0.8, color: theme.paper },
      },
      selected: { marker: { opacity: 1 } },
      unselected: { marker: { opacity: 0.25 } },
    }),
    trace("failed", failed, x, y, {
      ...pickable(failed, text),
      marker: { symbol: "x-thin", size: 0.6 * d, line: { width: 2, color: theme.soft } },
    }),
  ];
}

/** The number on each disc; of runs at one place only the last is numbered, for all of them. */
function numbersOf(runs, x, y) {
  const step = (of) => (Math.max(...runs.map(of)) - Math.min(...runs.map(of)) || 1) * SAME_PLACE;
  const [wide, high] = [step(x), step(y)];
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
