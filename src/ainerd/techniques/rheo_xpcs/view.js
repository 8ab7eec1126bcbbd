// The pictures of a rheo-XPCS result: its two-time maps, g2 with its fit, and the mean frame. They are drawn inside the
// views of ainerd, with their colors and their Plotly.
const { API, SCALE, Plot, axis, encoded, escaped, get, h, mean, nothing, number, numbers } = window.__AINERD__;
const { useAsync, useMemo, useState, useTheme, withError } = window.__AINERD__;

const NARROW = window.innerWidth < 640; // a phone
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
    const traces = [],
      layout = {
        margin: { r: 4, t: 3.1 * theme.size },
        annotations: [],
        dragmode: "zoom",
        uirevision: maps.map((each) => each.title).join(),
      };
    const wide = 0.945,
      gap = 0.035,
      share = (wide - gap * (maps.length - 1)) / maps.length;
    maps.forEach(({ title, values, n, duration, frame }, k) => {
      const tail = k ? String(k + 1) : "";
      const each = (duration ?? n) / n;
      const unit = duration ? "s" : "cells";
      const left = k * (share + gap);
      traces.push({
        type: "heatmap",
        z: rows(values, n),
        x0: each / 2,
        dx: each,
        y0: each / 2,
        dy: each,
        xaxis: `x${tail}`,
        yaxis: `y${tail}`,
        zmin: 1,
        zmax: high,
        colorscale: SCALE,
        showscale: k === maps.length - 1,
        colorbar: {
          thickness: 9,
          x: wide + 0.012,
          xpad: 0,
          outlinewidth: 0,
          title: { text: "C<sub>2</sub>" },
          len: 1,
          nticks: 5,
          tickfont: { size: theme.size * 0.85 },
        },
        hovertemplate: `t1 = %{x:.2f} ${unit}, t2 = %{y:.2f} ${unit}<br>C2 = %{z:.4f}<extra></extra>`,
      });
      const framed = {
        linecolor: frame ?? theme.line,
        linewidth: frame ? 2.5 : 1,
        mirror: true,
        showgrid: false,
        nticks: NARROW ? 3 : 6,
        constrain: "domain",
      };
      layout[`xaxis${tail}`] = axis(theme, `t1 (${unit})`, {
        domain: [left, left + share],
        anchor: `y${tail}`,
        range: [0, duration ?? n],
        ...framed,
      });
      layout[`yaxis${tail}`] = axis(theme, k ? "" : `t2 (${unit})`, {
        anchor: `x${tail}`,
        range: [0, duration ?? n],
        scaleanchor: `x${tail}`,
        showticklabels: !k,
        ...framed,
      });
      layout.annotations.push({
        text: title.map(escaped).join("<br>"),
        showarrow: false,
        xref: `x${tail} domain`,
        yref: `y${tail} domain`,
        x: 0.5,
        y: 1,
        yanchor: "bottom",
        yshift: 3,
        font: { size: theme.size * 0.9 },
      });
    });
    return { traces, layout };
  }, [maps, high, theme.dark, theme.size]);
  const label = `Two-time correlation maps: ${maps.map((each) => each.title.join(", ")).join("; ")}. Time runs to the right and up.`;
  return h(Plot, { traces, layout, label, name: "c2" });
}

/** A map of a result: that of bin k, or the mean over azimuths if k is null. */
async function readMap(path, name, k, size) {
  if (k === null) {
    const found = await mean(`${path}/${name}`, size > 128 ? 2 : 1);
    if (found) return { values: found.values, n: found.shape[1] };
  }
  const values = await numbers(`${path}/${name}`, "float32", `${k ?? 0}`);
  return { values, n: Math.round(Math.sqrt(values.length)) };
}

/** On the page of a campaign: the selected run, the same without noise, and the most similar earlier run. */
function Gallery({ path, newest, nearest }) {
  const { value: maps, error } = useAsync(async () => {
    const wanted = [
      [["measured", `scan ${newest.scan}`], newest, "c2", 256],
      [[NARROW ? "denoised" : "without noise", `scan ${newest.scan}`], newest, "denoised", 64],
      ...(nearest ? [[[NARROW ? "nearest" : "nearest seen before", `scan ${nearest.scan}`], nearest, "c2", 256]] : []),
    ];
    const read = await Promise.allSettled(
      wanted.map(([, run, name, size]) => readMap(`${path}/${run.key}`, name, null, size)),
    );
    const there = wanted.flatMap(([title, run], k) =>
      read[k].status === "fulfilled" ? [{ title, ...read[k].value, duration: run.duration, frame: run.color }] : [],
    );
    if (!there.length) throw read[0].reason;
    return there;
  }, [path, newest.key, nearest?.key]);
  const high = useMemo(() => (maps ? highest(maps) : 1.1), [maps]);
  if (error) return nothing("the run has no map");
  if (!maps) return nothing("reading the maps…");
  return h(Maps, { maps, high });
}

/** On the page of a result. */
function View({ path, result }) {
  const metadata = result.metadata;
  const has = (name) => name in (result.arrays ?? {});
  const shape = (name) => result.arrays[name].shape ?? result.arrays[name];
  const bins = useBins(path, result);
  const [bin, setBin] = useState(null); // null: mean over azimuths
  const panel = (title, className, child) =>
    h("section", { className: `panel ${className}`, "aria-label": title }, h("h2", null, title), child);
  const duration = metadata.n_frames && metadata.frame_time_s ? metadata.n_frames * metadata.frame_time_s : null;
  return h(
    "div",
    { className: "page" },
    has("c2") &&
      panel(
        "Two-time correlation",
        "wide",
        h(
          "div",
          null,
          h(Bins, { bins, bin, setBin, n: shape("c2")[0] }),
          h("div", { style: { height: "27em", display: "flex" } }, h(MapsOfBin, { path, result, bin, duration })),
        ),
      ),
    has("g2") && has("tau") && panel("g2", "", h(G2, { path, result, bin, bins })),
    has("mean_frame") &&
      panel(
        "Mean frame",
        "",
        h(MeanFrame, { path, shape: shape("mean_frame"), dtype: result.arrays.mean_frame.dtype }),
      ),
    has("intensity") && panel("Intensity over time", "", h(Intensity, { path, bin, arrays: result.arrays })),
    has("saxs") && panel("I(q)", "", h(Saxs, { path, result })),
    ...Object.keys(result.series ?? {}).map((name) =>
      panel(name, "", h(Series, { path, name, unit: metadata.units?.[name] })),
    ),
  );
}

/** The rows of the table of bins, with q and azimuth. */
function useBins(path, result) {
  const read = async () => ("bins" in (result.tables ?? {}) ? readTable(`${path}/bins`) : []);
  const { value: table } = useAsync(read, [path]);
  return table ?? [];
}

async function readTable(path) {
  const table = await (await get(`${API}/table/full/${encoded(path)}?format=application/json`)).json();
  const names = Object.keys(table);
  return Array.from({ length: table[names[0]]?.length ?? 0 }, (_, k) =>
    Object.fromEntries(names.map((name) => [name, table[name][k]])),
  );
}

/** Sliders of q and azimuth, which select a bin. */
function Bins({ bins, bin, setBin, n }) {
  const qs = useMemo(
    () => [...new Set(bins.map((each) => each.q))].filter(Number.isFinite).sort((a, b) => a - b),
    [bins],
  );
  const at = bin ?? 0;
  const q = bins[at]?.q;
  const ring =
    bins.length && qs.length
      ? bins.flatMap((each, k) => (each.q === q ? [k] : []))
      : Array.from({ length: n }, (_, k) => k);
  const place = Math.max(0, ring.indexOf(at));
  const toRing = (k) => {
    const phi = bins[at].phi;
    const others = bins.flatMap((each, j) => (each.q === qs[k] ? [j] : []));
    setBin(others.toSorted((a, b) => Math.abs(bins[a].phi - phi) - Math.abs(bins[b].phi - phi))[0]);
  };
  const azimuth = bins[at]?.phi !== undefined ? `${number(bins[at].phi)}°` : `bin ${at + 1}`;
  return h(
    "div",
    { className: "row", style: { gap: "1.2em" } },
    h(
      "label",
      { className: "row" },
      h("input", { type: "checkbox", checked: bin === null, onChange: (e) => setBin(e.target.checked ? null : 0) }),
      "mean over azimuths",
    ),
    h(
      "label",
      { className: "row" },
      "azimuth",
      h("input", {
        type: "range",
        min: 0,
        max: ring.length - 1,
        value: place,
        onChange: (e) => setBin(ring[Number(e.target.value)]),
        "aria-valuetext": azimuth,
        "data-ainerd": "azimuth",
      }),
      h("output", { style: { minWidth: "7em" } }, bin === null ? "all" : `${azimuth} (bin ${at + 1})`),
    ),
    h(
      "label",
      { className: "row" },
      "q",
      h("input", {
        type: "range",
        min: 0,
        max: Math.max(0, qs.length - 1),
        disabled: qs.length < 2,
        value: Math.max(0, qs.indexOf(q)),
        onChange: (e) => toRing(Number(e.target.value)),
        "aria-valuetext": `${number(q)} 1/nm`,
        "data-ainerd": "q",
      }),
      h("output", null, Number.isFinite(q) ? `${number(q)} 1/nm` : ""),
    ),
  );
}

function MapsOfBin({ path, result, bin, duration }) {
  const nearest = result.nearest?.[0];
  const parent = path.split("/").slice(0, -1).join("/");
  const { value: maps, error } = useAsync(async () => {
    const wanted = [
      [["measured"], `${path}`, "c2", 256],
      ...("denoised" in result.arrays ? [[["without noise"], path, "denoised", 64]] : []),
    ];
    if (nearest) {
      const title = [`nearest: scan ${nearest.scan}, ${number(nearest.distance, 2)} away`];
      wanted.push([title, `${parent}/${nearest.key}`, "c2", 256]);
    }
    const read = await Promise.allSettled(wanted.map(([, at, name, size]) => readMap(at, name, bin, size)));
    const there = wanted.flatMap(([title], k) =>
      read[k].status === "fulfilled" ? [{ title, ...read[k].value, duration }] : [],
    );
    if (!there.length) throw read[0].reason;
    return there;
  }, [path, bin, nearest?.key]);
  const high = useMemo(() => (maps ? highest(maps) : 1.1), [maps]);
  if (error) return nothing(`The maps cannot be read: ${error.message}`, "alert");
  return maps ? h(Maps, { maps, high }) : nothing("reading the maps…");
}

/** g2 of a bin with its errors and the fit from the table of bins; without a bin, the mean of all. */
function G2({ path, result, bin, bins }) {
  const theme = useTheme();
  const metadata = result.metadata;
  const { value: read, error } = useAsync(async () => {
    const kind = (name) => result.arrays[name].dtype;
    const [tau, g2, err] = await Promise.all(
      ["tau", "g2", ...("g2_err" in result.arrays ? ["g2_err"] : [])].map((name) =>
        numbers(`${path}/${name}`, kind(name)),
      ),
    );
    return { tau: [...tau], g2: rows(g2, tau.length), err: err ? rows(err, tau.length) : null };
  }, [path]);
  const fit = bin === null ? metadata : { ...bins[bin] };
  const drawn = useMemo(() => {
    if (!read) return null;
    const { tau, g2, err } = read;
    const faint = g2.map((values, k) => ({
      type: "scatter",
      mode: "lines",
      x: tau,
      y: [...values],
      hoverinfo: "skip",
      line: { color: theme.line, width: 1 },
      visible: k !== bin,
    }));
    const all = bin === null ? average(g2, err) : { y: [...g2[bin]], e: err && [...err[bin]] };
    const points = {
      type: "scatter",
      mode: "markers",
      x: tau,
      y: all.y,
      error_y: all.e ? { type: "data", array: all.e, width: 0, thickness: 1, color: theme.soft } : undefined,
      marker: { size: 5, color: "#0072B2" },
      hovertemplate: "tau = %{x:.3g} s<br>g2 = %{y:.4f}<extra></extra>",
    };
    const curve = fitted(tau, fit);
    const traces = [...faint, points];
    if (curve)
      traces.push({ type: "scatter", mode: "lines", ...curve, line: { color: "#D55E00", width: 2 }, hoverinfo: "skip" });
    const layout = {
      xaxis: axis(theme, "tau (s)", { type: "log", exponentformat: "power", dtick: 1 }),
      yaxis: axis(theme, "g2", { nticks: 6 }),
    };
    return { traces, layout };
  }, [read, bin, bins, theme.dark, theme.size]);
  if (error) return nothing(`g2 cannot be read: ${error.message}`, "alert");
  if (!drawn) return nothing("reading g2…");
  const text = sentence(fit);
  return h(
    "div",
    { className: "fill", style: { flexDirection: "column", height: "22em" } },
    h(
      "p",
      { className: "soft" },
      `${bin === null ? "mean of all bins; the fit is to all together" : `bin ${bin + 1}, all others faint`}. ${text}`,
    ),
    h(Plot, { ...drawn, label: `g2 over tau. ${text}`, name: "g2" }),
  );
}

function average(g2, err) {
  const n = g2[0].length;
  const seen = (k) => g2.map((values) => values[k]).filter(Number.isFinite);
  const y = Array.from({ length: n }, (_, k) => seen(k).reduce((sum, x) => sum + x, 0) / seen(k).length);
  const e =
    err &&
    Array.from(
      { length: n },
      (_, k) =>
        Math.sqrt(err.reduce((sum, values) => sum + (Number.isFinite(values[k]) ? values[k] ** 2 : 0), 0)) /
        seen(k).length,
    );
  return { y, e };
}

/** The curve of `g2(tau) = 1 + contrast (plateau + (1 - plateau) exp(-2 (tau / tau_s)^exponent))`; null if tau is unknown. */
function fitted(tau, { contrast, tau_s, kww_exponent, plateau }) {
  if (![contrast, tau_s, kww_exponent].every(Number.isFinite)) return null;
  const rest = Number.isFinite(plateau) ? plateau : 0;
  const [low, high] = [Math.log(tau.find((t) => t > 0)), Math.log(tau.at(-1))];
  const x = Array.from({ length: 120 }, (_, k) => Math.exp(low + ((high - low) * k) / 119));
  return { x, y: x.map((t) => 1 + contrast * (rest + (1 - rest) * Math.exp(-2 * (t / tau_s) ** kww_exponent))) };
}

function sentence(fit) {
  if (Number.isFinite(fit.tau_s))
    return `tau = ${withError(fit.tau_s, fit.tau_s_err, "s")}, exponent ${withError(fit.kww_exponent, fit.kww_exponent_err)}, contrast ${withError(fit.contrast, fit.contrast_err)}`;
  if (Number.isFinite(fit.tau_s_above))
    return `no decay within the exposure: tau above ${number(fit.tau_s_above)} s (95 %)`;
  if (Number.isFinite(fit.tau_s_below)) return `faster than a frame: tau below ${number(fit.tau_s_below)} s (95 %)`;
  return "no relaxation time is given";
}

function MeanFrame({ path, shape, dtype }) {
  const theme = useTheme();
  const { value: image, error } = useAsync(() => numbers(`${path}/mean_frame`, dtype), [path]);
  const drawn = useMemo(() => {
    if (!image) return null;
    const seen = [...image].filter((x) => x > 0).sort((a, b) => a - b);
    const [low, high] = [
      seen[Math.floor(0.02 * (seen.length - 1))] ?? 0.1,
      seen[Math.floor(0.998 * (seen.length - 1))] ?? 1,
    ];
    const z = rows(image, shape[1]).map((row) =>
      Array.from(row, (x) => (Number.isFinite(x) ? Math.log10(Math.max(x, low)) : null)),
    );
    const ticks = [low, Math.sqrt(low * high), high];
    const traces = [
      {
        type: "heatmap",
        z,
        zmin: Math.log10(low),
        zmax: Math.log10(high),
        colorscale: "Viridis",
        hoverinfo: "skip",
        colorbar: {
          thickness: 9,
          outlinewidth: 0,
          tickvals: ticks.map(Math.log10),
          ticktext: ticks.map((x) => number(x, 2)),
          title: { text: "photons/px/frame", side: "right" },
        },
      },
    ];
    const bare = { showgrid: false, showticklabels: false, ticks: "" };
    return {
      traces,
      layout: {
        xaxis: axis(theme, "", { ...bare, constrain: "domain" }),
        yaxis: axis(theme, "", { ...bare, autorange: "reversed", scaleanchor: "x", constrain: "domain" }),
        margin: { l: 4, r: 4.6 * theme.size, t: 4, b: 4 },
      },
    };
  }, [image, theme.dark, theme.size]);
  return h(Picture, {
    error,
    drawn,
    name: "frame",
    label: "Mean frame of the detector, photons per pixel and frame, masked pixels empty",
  });
}

function Intensity({ path, bin, arrays }) {
  const theme = useTheme();
  const { value: read, error } = useAsync(async () => {
    const [time, total, each] = await Promise.all(
      ["intensity_time", "intensity_total", "intensity"].map((name) => numbers(`${path}/${name}`, arrays[name].dtype)),
    );
    return { time: [...time], total: [...total], each: rows(each, time.length) };
  }, [path]);
  const drawn = useMemo(() => {
    if (!read) return null;
    const line = (y, color, width) => ({
      type: "scatter",
      mode: "lines",
      x: read.time,
      y,
      line: { color, width },
      hovertemplate: "%{y:.3g} at %{x:.3g} s<extra></extra>",
    });
    const traces = [
      ...(bin === null ? [] : [line([...read.each[bin]], "#56B4E9", 1)]),
      line(read.total, theme.ink, 1.3),
    ];
    return {
      traces,
      layout: {
        xaxis: axis(theme, "time (s)"),
        yaxis: axis(theme, "photons/px/frame", { rangemode: "tozero", nticks: 5 }),
        },
    };
  }, [read, bin, theme.dark, theme.size]);
  return h(Picture, { error, drawn, name: "intensity", label: "Intensity over time, photons per pixel and frame" });
}

function Saxs({ path, result }) {
  const theme = useTheme();
  const { value: read, error } = useAsync(
    () => Promise.all(["saxs_q", "saxs"].map((name) => numbers(`${path}/${name}`, result.arrays[name].dtype))),
    [path],
  );
  const drawn = useMemo(() => {
    if (!read) return null;
    const seen = [...read[0].keys()].filter((k) => read[1][k] > 0); // not behind the beamstop
    const traces = [
      {
        type: "scatter",
        mode: "lines+markers",
        x: seen.map((k) => read[0][k]),
        y: seen.map((k) => read[1][k]),
        marker: { size: 3, color: theme.ink },
        line: { width: 1, color: theme.soft },
        hovertemplate: "I = %{y:.3g} at q = %{x:.3g} 1/nm<extra></extra>",
      },
    ];
    return {
      traces,
      layout: {
        xaxis: axis(theme, "q (1/nm)", { type: "log", exponentformat: "power" }),
        yaxis: axis(theme, "I(q), photons/px/frame", { type: "log", exponentformat: "power", dtick: 1 }),
        },
    };
  }, [read, theme.dark, theme.size]);
  return h(Picture, { error, drawn, name: "saxs", label: "I(q) of the mean frame" });
}

function Series({ path, name, unit }) {
  const theme = useTheme();
  const { value: read, error } = useAsync(() => readTable(`${path}/${name}`), [path, name]);
  const drawn = useMemo(() => {
    if (!read) return null;
    const traces = [
      {
        type: "scatter",
        mode: "lines+markers",
        x: read.map((row) => row.time),
        y: read.map((row) => row[name]),
        marker: { size: 4, color: theme.ink },
        line: { width: 1, color: theme.soft },
      },
    ];
    return {
      traces,
      layout: {
        xaxis: axis(theme, "time since the run began (s)"),
        yaxis: axis(theme, unit && unit !== "1" ? `${name} (${unit})` : name, { nticks: 5 }),
        },
    };
  }, [read, theme.dark, theme.size]);
  return h(Picture, { error, drawn, name: `series-${name}`, label: `${name} during the run` });
}

function Picture({ error, drawn, name, label }) {
  if (error) return nothing(`cannot be read: ${error.message}`);
  return h(
    "div",
    { className: "fill", style: { height: "22em" } },
    drawn ? h(Plot, { ...drawn, label, name }) : nothing("reading…"),
  );
}

View.Gallery = Gallery;
(window.__AINERD_TECHNIQUES__ ||= {})["rheo_xpcs"] = View;
