// The pictures of a rheo-XPCS result: its two-time maps, g2 with its fit, and the mean frame. They are drawn inside the
// views of ainerd, with their colors and their Plotly.
const { SCALE, Plot, axis, escaped, h, mean, nothing, number, numbers, readTable } = window.__AINERD__;
const { useAsync, useMemo, useState, useTheme, withError } = window.__AINERD__;

const NARROW = window.innerWidth < 640; // a phone
const CLEAN = NARROW ? "denoised" : "without noise";
const SINCE = "time since the exposure began (s)"; // of all curves over time
const COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]; // of runs that are compared
const HIGH = 0.995; // quantile of a map off its diagonal that has the brightest color

/** The rows of a picture from its numbers in C order. */
function rows(values, width) {
  return Array.from({ length: values.length / width }, (_, k) => values.subarray(k * width, (k + 1) * width));
}

/** The largest quantile of some maps off their diagonals, which may hold shot noise. */
function highest(maps) {
  let high = 1.001;
  for (const { values, n } of maps) {
    const seen = [];
    for (let k = 0; k < values.length; k += 3)
      if (Math.floor(k / n) !== k % n && Number.isFinite(values[k])) seen.push(values[k]);
    seen.sort((a, b) => a - b);
    high = Math.max(high, seen[Math.floor(HIGH * (seen.length - 1))] ?? 0);
  }
  return high;
}

/** Two-time maps side by side on one color scale; a map is `{title, values, n, duration, frame}`. */
function Maps({ maps, high }) {
  const theme = useTheme();
  const { traces, layout } = useMemo(() => {
    const uirevision = maps.map((each) => each.title).join();
    const layout = { margin: { r: 4, t: 3.1 * theme.size }, annotations: [], dragmode: "zoom", uirevision };
    const [traces, wide, gap] = [[], 0.93, 0.035];
    const ticks = { nticks: NARROW ? 3 : 5, tickfont: { size: theme.size * 0.85 } };
    const colorbar = { thickness: 9, x: wide + 0.025, xpad: 0, outlinewidth: 0, title: { text: "C<sub>2</sub>" }, len: 0.8, ...ticks };
    const share = (wide - gap * (maps.length - 1)) / maps.length;
    maps.forEach(({ title, values, n, duration, frame, unit: own }, k) => {
      const tail = k ? String(k + 1) : "";
      const each = (duration ?? n) / n;
      const unit = own ?? (duration ? "s" : "cells");
      const left = k * (share + gap);
      traces.push({
        ...{ type: "heatmap", z: rows(values, n), zmin: 1, zmax: high, colorscale: SCALE },
        ...{ x0: each / 2, dx: each, y0: each / 2, dy: each, xaxis: `x${tail}`, yaxis: `y${tail}` },
        showscale: k === maps.length - 1,
        colorbar,
        hovertemplate: `t1 = %{x:.2f} ${unit}, t2 = %{y:.2f} ${unit}<br>C2 = %{z:.4f}<extra></extra>`,
      });
      const border = { linecolor: frame ?? theme.line, linewidth: frame ? 2.5 : 1, mirror: true };
      const framed = { range: [0, duration ?? n], ...border, showgrid: false, nticks: NARROW ? 3 : 6, constrain: "domain" };
      const [across, up] = [{ anchor: `y${tail}` }, { anchor: `x${tail}`, scaleanchor: `x${tail}`, showticklabels: !k }];
      layout[`xaxis${tail}`] = axis(theme, `t1 (${unit})`, { domain: [left, left + share], ...across, ...framed });
      layout[`yaxis${tail}`] = axis(theme, k ? "" : `t2 (${unit})`, { ...up, ...framed });
      const above = { xref: `x${tail} domain`, yref: `y${tail} domain`, x: 0.5, y: 1, yanchor: "bottom", yshift: 3 };
      const text = title.map(escaped).join("<br>");
      layout.annotations.push({ text, showarrow: false, font: { size: theme.size * 0.9 }, ...above });
    });
    return { traces, layout };
  }, [maps, high, theme.dark, theme.size]);
  const label = `Two-time correlation maps: ${maps.map((each) => each.title.join(", ")).join("; ")}. Time runs to the right and up.`;
  return h(Plot, { traces, layout, label, name: "c2" });
}

/** The number of bin k, from 0, in the q map. */
const numberOf = (bins, k) => bins[k]?.bin ?? k + 1;

/** A map of a result: that of bin k, or the mean of all if k is null. */
async function readMap(path, name, k) {
  if (k === null) {
    const image = await mean(`${path}/${name}`);
    return { values: image.values, n: image.shape[1] };
  }
  const values = await numbers(`${path}/${name}`, String(k));
  return { values, n: Math.round(Math.sqrt(values.length)) };
}

/** Those of the wanted maps, `{title, path, name, duration, frame}`, that can be read; `failed` if none can. */
function ReadMaps({ wanted, bin, failed }) {
  const { value: maps, error } = useAsync(async () => {
    const read = await Promise.allSettled(wanted.map(({ path, name }) => readMap(path, name, bin)));
    const there = wanted.flatMap((each, k) => (read[k].status === "fulfilled" ? [{ ...each, ...read[k].value }] : []));
    if (!there.length) throw read[0].reason;
    return there;
  }, [bin, wanted[0].path, wanted.at(-1).path]);
  const high = useMemo(() => (maps ? highest(maps) : 1.1), [maps]);
  if (error) return failed(error);
  return maps ? h(Maps, { maps, high }) : nothing("reading the maps…");
}

/** What is shown in place of maps: they do not exist, or cannot be read now. */
const unread = (missing) => (error) =>
  error.status === 404 ? nothing(missing) : nothing(`The maps cannot be read: ${error.message}`, "alert");

/** On the page of a campaign: the selected run, the same without noise, and the most similar earlier run. */
function Gallery({ path, newest, nearest }) {
  const map = (title, run, name) => ({
    title: [title, `scan ${run.scan}`],
    path: `${path}/${run.key}`,
    name,
    duration: run.duration,
    frame: run.color,
  });
  const wanted = [map("measured", newest, "c2"), map(CLEAN, newest, "denoised")];
  if (nearest) wanted.push(map(NARROW ? "similar" : "most similar before", nearest, "c2"));
  return h(ReadMaps, { wanted, bin: null, failed: unread("the run has no map") });
}

/** On the page of a campaign: runs that a person chose, their maps on one scale, and g2 over each other with the fits. */
function Compare({ path, runs, node }) {
  const map = (run) => ({ title: [`scan ${run.scan}`], path: `${path}/${run.key}`, name: "c2", duration: run.duration, frame: run.color });
  const read = () =>
    Promise.all(
      runs.map(async ({ key }) => [(await node(`${path}/${key}`)).metadata, ...(await readArrays(`${path}/${key}`, ["tau", "g2"]))]),
    );
  const draw = (results, theme) => {
    const traces = results.flatMap(([metadata, tau, values], k) => {
      const color = COLORS[k];
      const fit = "rings" in (metadata.tables ?? {}) ? {} : metadata;
      const model = fitted(tau, fit);
      const name = escaped(`scan ${runs[k].scan}: τ ${times(metadata) ?? "not determined"}`);
      const points = { mode: "markers", marker: { size: 4, color }, name, showlegend: true };
      const drawn = curve(tau, average(rows(values, tau.length)).y, color, points);
      return model ? [drawn, curve(model.x, model.y, color, { showlegend: false })] : [drawn];
    });
    const layout = {
      showlegend: true,
      legend: { orientation: "h", y: 1.02, yanchor: "bottom" },
      margin: { t: (NARROW ? 1.7 : 0.9) * runs.length * theme.size + theme.size },
      xaxis: axis(theme, "lag (s)", { type: "log", exponentformat: "power", dtick: 1 }),
      yaxis: axis(theme, "g2", { nticks: 5 }),
    };
    return { traces, layout };
  };
  const keys = runs.map(({ key }) => key).join();
  const label = `g2 of ${runs.length} runs over the lag, with their fits`;
  return h(
    "div",
    { className: "fill column", key: keys, style: NARROW ? { minHeight: "34em" } : undefined },
    h(ReadMaps, { wanted: runs.map(map), bin: null, failed: unread("the runs have no maps") }),
    h(Chart, { path: keys, read, draw, name: "compared", label }),
  );
}

/** On the page of a result. */
function View({ path, result }) {
  const metadata = result.metadata;
  const has = (name) => name in (result.arrays ?? {});
  const shape = (name) => result.arrays[name].shape ?? result.arrays[name];
  const hasBins = "bins" in (result.tables ?? {});
  const { value: bins = [] } = useAsync(async () => (hasBins ? readTable(`${path}/bins`) : []), [path]);
  const [bin, setBin] = useState(null); // null: mean of all
  const panel = (title, className, child) =>
    h("section", { className: `panel ${className}`, "aria-label": title }, h("h2", null, title), child);
  const duration = metadata.n_frames && metadata.frame_time_s ? metadata.n_frames * metadata.frame_time_s : null;
  const sliders = () => h(Bins, { bins, bin, setBin, n: shape("c2")[0] });
  const maps = () => h(MapsOfBin, { path, result, bin, duration });
  const flat = { style: { height: "27em", display: "flex" } };
  return h(
    "div",
    { className: "page" },
    has("c2") && panel("Two-time correlation", "wide", h("div", null, sliders(), h("div", flat, maps()))),
    has("g2") && has("tau") && panel("g2", "", h(G2, { path, result, bin, bins })),
    has("echo") && panel("Echoes", "", echoes(path)),
    has("echo") && panel("Cycles", "", cycles(path)),
    has("echo_c2") &&
      panel("Cycle with cycle", "", h("div", { className: "fill", style: { height: "22em" } }, h(MapOfCycles, { path }))),
    has("clock") && panel("Clock of the sample", "", clock(path, duration)),
    has("mean_frame") && panel("Mean frame", "", meanFrame(path, shape("mean_frame")[1])),
    has("intensity") && panel("Intensity over time", "", intensity(path, bin)),
    has("saxs") && panel("I(q)", "", saxs(path)),
    ...Object.keys(result.series ?? {}).map((name) => panel(name, "", series(path, name, metadata))),
  );
}

/** Sliders of q and azimuth, which select a bin. */
function Bins({ bins, bin, setBin, n }) {
  const qs = [...new Set(bins.map((each) => each.q))].filter(Number.isFinite).sort((a, b) => a - b);
  const at = bin ?? 0;
  const q = bins[at]?.q;
  const ring =
    bins.length && qs.length
      ? bins.flatMap((each, k) => (each.q === q ? [k] : []))
      : Array.from({ length: n }, (_, k) => k);
  const toRing = (k) => {
    const phi = bins[at].phi;
    const others = bins.flatMap((each, j) => (each.q === qs[k] ? [j] : []));
    setBin(others.toSorted((a, b) => Math.abs(bins[a].phi - phi) - Math.abs(bins[b].phi - phi))[0]);
  };
  const azimuth = bins[at]?.phi !== undefined ? `${number(bins[at].phi)}°` : `bin ${numberOf(bins, at)}`;
  const slider = (name, last, value, text, shown, onChange, disabled) =>
    h(
      "label",
      { className: "row" },
      name,
      h("input", {
        type: "range",
        min: 0,
        max: Math.max(0, last),
        disabled,
        value: Math.max(0, value),
        onChange: (e) => onChange(Number(e.target.value)),
        "aria-valuetext": text,
        "data-ainerd": name,
      }),
      h("output", name === "q" ? null : { style: { minWidth: "7em" } }, shown),
    );
  const ofAzimuth = bin === null ? "all" : `${azimuth} (bin ${numberOf(bins, at)})`;
  const ofQ = `${number(q)} 1/nm`;
  return h(
    "div",
    { className: "row", style: { gap: "1.2em" } },
    h(
      "label",
      { className: "row" },
      h("input", { type: "checkbox", checked: bin === null, onChange: (e) => setBin(e.target.checked ? null : 0) }),
      bins.length && bins.length === qs.length ? "mean over rings" : "mean over azimuths",
    ),
    ring.length > 1 &&
      slider("azimuth", ring.length - 1, ring.indexOf(at), azimuth, ofAzimuth, (k) => setBin(ring[k])),
    slider("q", qs.length - 1, qs.indexOf(q), ofQ, Number.isFinite(q) ? ofQ : "", toRing, qs.length < 2),
  );
}

function MapsOfBin({ path, result, bin, duration }) {
  const nearest = result.nearest?.[0];
  const wanted = [{ title: ["measured"], path, name: "c2", duration }];
  if ("denoised" in result.arrays) wanted.push({ title: [CLEAN], path, name: "denoised", duration });
  if (nearest) {
    const title = NARROW ? ["similar", `scan ${nearest.scan}`] : [`most similar: scan ${nearest.scan}`];
    wanted.push({ title, path: `${path.split("/").slice(0, -1).join("/")}/${nearest.key}`, name: "c2", duration });
  }
  return h(ReadMaps, { wanted, bin, failed: unread("the result has no map") });
}

/** A line that nobody points at; `more` are Plotly's properties. */
const curve = (x, y, color, more) => {
  return { type: "scatter", mode: "lines", x: [...x], y: [...y], hoverinfo: "skip", line: { width: 1, color }, ...more };
};

/** Error bars of one color. */
const bars = (errors, color) => ({ type: "data", array: [...errors], width: 0, thickness: 1, color });

/** g2 of a bin with its errors and the fit from the table of bins; without a bin, the mean of all. */
function G2({ path, result, bin, bins }) {
  const fit = bin === null ? result.metadata : { ...bins[bin] };
  const names = ["tau", "g2", "g2_err"].filter((name) => name in result.arrays);
  const draw = ([tau, values, errors], theme) => {
    const [g2, err] = [values, errors].map((each) => each && rows(each, tau.length));
    const faint = g2.map((each, k) => curve(tau, each, theme.line, { visible: k !== bin }));
    const { y, e } = bin === null ? average(g2, err) : { y: [...g2[bin]], e: err?.[bin] };
    const hovertemplate = "lag %{x:.3g} s<br>g2 = %{y:.4f}<extra></extra>";
    const points = { mode: "markers", marker: { size: 5, color: "#0072B2" }, error_y: e && bars(e, theme.soft), hovertemplate };
    const traces = [...faint, curve(tau, y, undefined, { ...points, hoverinfo: undefined })];
    const model = fitted(tau, fit);
    if (model) traces.push(curve(model.x, model.y, "#D55E00", { line: { color: "#D55E00", width: 2 } }));
    const half = [fit.tau_half_s, fit.tau_half_s];
    const dotted = { line: { color: "#D55E00", dash: "dot" } };
    if (Number.isFinite(half[0])) traces.push(curve(half, [Math.min(...y), Math.max(...y)], "#D55E00", dotted));
    const layout = {
      xaxis: axis(theme, "lag (s)", { type: "log", exponentformat: "power", dtick: 1 }),
      yaxis: axis(theme, "g2", { nticks: 6 }),
    };
    return { traces, layout };
  };
  const text = sentence(fit);
  const ofAll = `mean of all bins${Number.isFinite(fit.tau_s) && fit.g2_model !== "clock" ? ", one fit to all" : ""}`;
  const what = bin === null ? ofAll : `bin ${numberOf(bins, bin)}, all others faint`;
  const read = () => readArrays(path, names);
  const chart = { path, read, draw, bin: `${bin} ${bins.length}`, name: "g2", label: `g2 over the lag. ${text}` };
  return h("div", null, h("p", { className: "soft" }, `${what}: ${text}`), h(Chart, chart));
}

/** The rate of the sample's clock with its band, on the axis of time of the other curves. */
function clock(path, duration) {
  const color = "#D55E00";
  const draw = ([time, rate, error], theme) => {
    const edge = (sign) => rate.map((x, k) => x * Math.exp((sign * error[k]) / x));
    const none = { line: { width: 0 } };
    const hovertemplate = "1/tau = %{y:.3g} 1/s at %{x:.3g} s<extra></extra>";
    const traces = [
      curve(time, edge(-1), color, none),
      curve(time, edge(1), color, { ...none, fill: "tonexty", fillcolor: "rgba(213, 94, 0, 0.25)" }),
      curve(time, rate, color, { hoverinfo: undefined, hovertemplate, line: { color, width: 2 } }),
    ];
    const layout = {
      xaxis: axis(theme, SINCE, duration ? { range: [0, duration] } : {}),
      yaxis: axis(theme, "rate 1/tau (1/s)", { type: "log", exponentformat: "power", nticks: 5 }),
    };
    return { traces, layout };
  };
  const read = () => readArrays(path, ["clock_time", "clock", "clock_err"]);
  return h(Chart, { path, read, draw, name: "clock", label: "Rate of relaxation over the exposure, with its error" });
}

function average(g2, err) {
  const n = g2[0].length;
  const seen = (k) => g2.map((values) => values[k]).filter(Number.isFinite);
  const sum = (values) => values.filter(Number.isFinite).reduce((total, x) => total + x, 0);
  const y = Array.from({ length: n }, (_, k) => sum(seen(k)) / seen(k).length);
  const squares = (k) => err.map((values) => values[k] ** 2);
  const e = err && Array.from({ length: n }, (_, k) => Math.sqrt(sum(squares(k))) / seen(k).length);
  return { y, e };
}

/** The curve of the model of `Relaxation.formula`; null if tau is unknown. */
function fitted(tau, fit) {
  const { contrast, tau_s } = fit;
  if (![contrast, tau_s].every(Number.isFinite) || fit.g2_model === "clock") return null; // the clock is of the map
  const or = (value, other) => (Number.isFinite(value) ? value : other);
  const [still, base, share] = [or(fit.static_share, 0), or(fit.g2_baseline, 0), or(fit.fast_share, 1)];
  const mode = (t, tau0, p) => Math.exp(-((t / or(tau0, Infinity)) ** or(p, 1)));
  const [low, high] = [Math.log(tau.find((t) => t > 0)), Math.log(tau.at(-1))];
  const x = Array.from({ length: 120 }, (_, k) => Math.exp(low + ((high - low) * k) / 119));
  const moving = (t) => share * mode(t, tau_s, fit.kww_exponent) + (1 - share) * mode(t, fit.tau2_s, fit.kww_exponent2);
  return { x, y: x.map((t) => 1 + base + (contrast - base) * (still + (1 - still) * moving(t)) ** 2) };
}

/** The relaxation time of a fit, or its limits, and when g2 - 1 falls to a half of its value at the first lags. */
function sentence(fit) {
  const tau = times(fit);
  const half = value(fit, "tau_half_s");
  const or = fit.g2_model_or ? `; the model ${fit.g2_model_or} fits as well` : "";
  const shape = Number.isFinite(fit.tau_s) ? `, contrast ${withError(fit.contrast, fit.contrast_err)}${or}` : "";
  const unknown = `no relaxation time is given${fit.no_tau ? `: ${fit.no_tau}` : ""}`;
  return `${tau ? `tau ${tau}` : unknown}${shape}${half ? `; g2 - 1 falls to half: ${half.replace("= ", "")}` : ""}`;
}

/** The relaxation time, or two if the data do not decide between two models; null if unknown. */
function times(fit) {
  const other = Number.isFinite(fit.tau_s_or) ? value(fit, "tau_s_or").replace("=", " or") : "";
  return value(fit, "tau_s") && `${value(fit, "tau_s")}${other}`;
}

/** A time with its error, or its limits; null if unknown. */
function value(fit, name) {
  if (Number.isFinite(fit[name])) return `= ${withError(fit[name], fit[`${name}_err`], "s")}`;
  const [low, high] = ["above", "below"].map((side) => number(fit[`${name}_${side}`]));
  return low && high ? `${low} to ${high} s` : low ? `> ${low} s` : high ? `< ${high} s` : null;
}

/** A chart of the values that `read` reads once for `path`; `draw(values, theme)` returns `{traces, layout}`, anew for each bin. */
function Chart({ path, read, draw, bin, name, label }) {
  const theme = useTheme();
  const { value, error } = useAsync(read, [path, name]);
  const drawn = useMemo(() => (value ? draw(value, theme) : null), [value, bin, theme.dark, theme.size]);
  if (error) return nothing(`cannot be read: ${error.message}`);
  return h(
    "div",
    { className: "fill", style: { height: "22em" } },
    drawn ? h(Plot, { ...drawn, label, name }) : nothing("reading…"),
  );
}

/** A line with a marker at each point. */
function line(theme, x, y, size, more) {
  const look = { marker: { size, color: theme.ink }, line: { width: 1, color: theme.soft } };
  return { type: "scatter", mode: "lines+markers", x, y, ...look, ...more };
}

function meanFrame(path, width) {
  const draw = (image, theme) => {
    const seen = [...image].filter((x) => x > 0).sort((a, b) => a - b);
    const quantile = (share, otherwise) => seen[Math.floor(share * (seen.length - 1))] ?? otherwise;
    const [low, high] = [quantile(0.02, 0.1), quantile(0.998, 1)];
    const z = rows(image, width).map((row) =>
      Array.from(row, (x) => (Number.isFinite(x) ? Math.log10(Math.max(x, low)) : null)),
    );
    const ticks = [low, Math.sqrt(low * high), high];
    const colorbar = {
      thickness: 9,
      outlinewidth: 0,
      tickvals: ticks.map(Math.log10),
      ticktext: ticks.map((x) => number(x, 2)),
      title: { text: "photons/px/frame", side: "right" },
    };
    const range = { zmin: Math.log10(low), zmax: Math.log10(high), colorscale: "Viridis", colorbar };
    const bare = { showgrid: false, showticklabels: false, ticks: "", constrain: "domain" };
    const layout = {
      xaxis: axis(theme, "", bare),
      yaxis: axis(theme, "", { ...bare, autorange: "reversed", scaleanchor: "x" }),
      margin: { l: 4, r: 4.6 * theme.size, t: 4, b: 4 },
    };
    return { traces: [{ type: "heatmap", z, hoverinfo: "skip", ...range }], layout };
  };
  const label = "Mean frame of the detector, photons per pixel and frame, masked pixels empty";
  return h(Chart, { path, read: () => numbers(`${path}/mean_frame`), draw, name: "frame", label });
}

/** Read some arrays of a result. */
function readArrays(path, names) {
  return Promise.all(names.map((name) => numbers(`${path}/${name}`)));
}

function intensity(path, bin) {
  const draw = ([time, total, each], theme) => {
    const pointed = { hoverinfo: undefined, hovertemplate: "%{y:.3g} at %{x:.3g} s<extra></extra>" };
    const ofBin = bin === null ? [] : [curve(time, rows(each, time.length)[bin], "#56B4E9", pointed)];
    const layout = {
      xaxis: axis(theme, SINCE),
      yaxis: axis(theme, "photons/px/frame", { rangemode: "tozero", nticks: 5 }),
    };
    return { traces: [...ofBin, curve(time, total, theme.ink, pointed)], layout };
  };
  const read = () => readArrays(path, ["intensity_time", "intensity_total", "intensity"]);
  const label = "Intensity over time, photons per pixel and frame";
  return h(Chart, { path, read, draw, bin, name: "intensity", label });
}

function saxs(path) {
  const draw = ([q, values], theme) => {
    const seen = [...q.keys()].filter((k) => values[k] > 0); // not behind the beamstop
    const [x, y] = [q, values].map((array) => seen.map((k) => array[k]));
    const logarithmic = { type: "log", exponentformat: "power" };
    const layout = {
      xaxis: axis(theme, "q (1/nm)", logarithmic),
      yaxis: axis(theme, "I(q), photons/px/frame", { ...logarithmic, dtick: 1 }),
    };
    const hovertemplate = "I = %{y:.3g} at q = %{x:.3g} 1/nm<extra></extra>";
    return { traces: [line(theme, x, y, 3, { hovertemplate })], layout };
  };
  const read = () => readArrays(path, ["saxs_q", "saxs"]);
  return h(Chart, { path, read, draw, name: "saxs", label: "I(q) of the mean frame" });
}

/** Echo heights over the number of cycles: those of the bins, and their mean. */
function echoes(path) {
  const draw = ([lag, values, errors], theme) => {
    const [x, each, err] = [[...lag], rows(values, lag.length), rows(errors, lag.length)];
    const bins = each.map((y) => curve(x, y, theme.line));
    const { y, e } = average(each, err);
    const hovertemplate = "%{y:.3f} after %{x:.0f} cycles<extra></extra>";
    const layout = {
      xaxis: axis(theme, "number of cycles", { type: "log" }),
      yaxis: axis(theme, "echo height", { nticks: 6 }),
    };
    return { traces: [...bins, line(theme, x, y, 5, { error_y: bars(e, theme.soft), hovertemplate })], layout };
  };
  const read = () => readArrays(path, ["echo_lag", "echo", "echo_err"]);
  return h(Chart, { path, read, draw, name: "echoes", label: "Echo heights over the number of cycles" });
}

/** Echo, G', G'' and tan delta of each cycle on one axis. */
function cycles(path) {
  const draw = (table, theme) => {
    const x = table.map((row) => row.cycle);
    const column = (name) => table.map((row) => row[name]);
    const quantity = (name, label, color, yaxis) =>
      curve(x, column(name), color, {
        ...{ mode: "lines+markers", name: label, yaxis, marker: { size: 3, color }, hoverinfo: undefined },
        error_y: bars(column(`${name}_err`), color),
        hovertemplate: `${label} = %{y:.4g} in cycle %{x}<extra></extra>`,
      });
    const traces = [quantity("echo", "echo", theme.ink, "y")];
    const layout = {
      showlegend: true,
      legend: { orientation: "h", y: 1.12 },
      xaxis: axis(theme, "cycle"),
      yaxis: axis(theme, "echo height", { domain: [0.55, 1], nticks: 4 }),
    };
    if (table.length && "storage_pa" in table[0]) {
      traces.push(quantity("storage_pa", "G'", "#0072B2", "y2"), quantity("loss_pa", "G''", "#D55E00", "y2"));
      traces.push(quantity("tan_delta", "tan δ", "#009E73", "y3"));
      layout.yaxis2 = axis(theme, "Pa", { domain: [0, 0.45], rangemode: "tozero", nticks: 4 });
      const right = { domain: [0, 0.45], overlaying: "y2", side: "right", rangemode: "tozero", nticks: 4, showgrid: false };
      layout.yaxis3 = axis(theme, "tan δ", right);
      layout.margin = { r: 4 * theme.size };
      layout.xaxis.anchor = "y2";
    }
    return { traces, layout };
  };
  const label = "Echo with the cycle before, G', G'' and tan delta of each cycle";
  return h(Chart, { path, read: () => readTable(`${path}/cycles`), draw, name: "cycles", label });
}

/** The correlation of cycle with cycle, mean of the bins. */
function MapOfCycles({ path }) {
  const { value, error } = useAsync(() => readMap(path, "echo_c2", null), [path]);
  const maps = useMemo(() => (value ? [{ title: ["mean of the bins"], ...value, unit: "rows" }] : null), [value]);
  if (error) return nothing(`cannot be read: ${error.message}`);
  return maps ? h(Maps, { maps, high: highest(maps) }) : nothing("reading…");
}

/** Times from the start of the exposure, as `ainerd.results.since_exposure`: of the rows before it only the last is kept, at 0. */
function sinceExposure(table, { exposure_time, run_time }) {
  const began = Number.isFinite(exposure_time - run_time) ? exposure_time - run_time : 0;
  const first = Math.max(0, table.findLastIndex((row) => row.time <= began));
  return table.slice(first).map((row) => ({ ...row, time: Math.max(0, row.time - began) }));
}

function series(path, name, metadata) {
  const unit = metadata.units?.[name];
  const draw = (table, theme) => {
    const [x, y] = ["time", name].map((column) => table.map((row) => row[column]));
    const duration = metadata.n_frames * metadata.frame_time_s;
    const end = x.at(-1) < 0.9 * duration ? `; ends at ${number(x.at(-1))} s` : "";
    const layout = {
      xaxis: axis(theme, SINCE + end, duration ? { range: [0, duration] } : {}),
      yaxis: axis(theme, unit && unit !== "1" ? `${name} (${unit})` : name, { nticks: 5 }),
    };
    return { traces: [line(theme, x, y, 4)], layout };
  };
  const read = async () => sinceExposure(await readTable(`${path}/${name}`), metadata);
  return h(Chart, { path, read, draw, name: `series-${name}`, label: `${name} during the run` });
}

Object.assign(View, { Gallery, Compare });
(window.__AINERD_TECHNIQUES__ ||= {})["rheo_xpcs"] = View;
