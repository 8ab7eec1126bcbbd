// The page of a ramp: trajectories by cluster over temperature, and the cluster of each pixel.
// It uses the colors and the Plotly of ainerd's pages.
const { API, Plot, axis, h, regimeColor, useAsync, useTheme } = window.__AINERD__;

function Ramp({ path, result, get }) {
  const theme = useTheme();
  const array = async (name) => (await get(`${API}/array/full/${path}/${name}?format=application/json`)).json();
  const { value, error } = useAsync(() => Promise.all(["temperature", "trajectories", "labels"].map(array)), [path]);
  if (!value) return h("p", { role: error && "alert" }, String(error ?? "reading the trajectories…"));
  const [x, trajectories, labels] = value;
  const n = trajectories.length;
  const clusters = trajectories.map((y, k) => ({ x, y, name: `cluster ${k}`, line: { color: regimeColor(k) } }));
  const over = {
    xaxis: axis(theme, `${result.parameters.temperature} (${result.metadata.units.temperature})`),
    yaxis: axis(theme, "scaled intensity"),
    showlegend: true,
  };
  const shades = trajectories.flatMap((_, k) => [k, k + 1].map((edge) => [edge / n, regimeColor(k)]));
  const z = labels.map((row) => row.map((k) => (k < 0 ? null : k))); // -1: too dark for a cluster
  const map = { type: "heatmap", z, zmin: -0.5, zmax: n - 0.5, colorscale: shades, showscale: false };
  const square = {
    xaxis: axis(theme, "column", { constrain: "domain", showgrid: false }),
    yaxis: axis(theme, "row", { scaleanchor: "x", autorange: "reversed", showgrid: false }),
  };
  return h(
    "div",
    { "data-ainerd": "xtec" },
    h("p", null, `${n} clusters of ${result.metadata.pixels} pixels`),
    h(Plot, { traces: clusters, layout: over, height: "22em", label: "trajectories by cluster" }),
    h(Plot, { traces: [map], layout: square, height: "30em", label: "which pixel is in which cluster" }),
  );
}

(window.__AINERD_TECHNIQUES__ ||= {})["xtec"] = Ramp;
