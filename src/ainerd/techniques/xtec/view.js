// The page of a ramp: trajectories by cluster over temperature, and the cluster of each pixel.
// It uses the colors and the Plotly of ainerd's pages.
const { colour } = window.__AINERD__["colours.js"];
const { axis, Plot } = window.__AINERD__["plot.js"];
const { h, useEffect, useState } = window.__AINERD__["react.js"];
const { useTheme } = window.__AINERD__["theme.js"];

function Ramp({ path, result, get }) {
  const theme = useTheme();
  const [read, setRead] = useState({});
  useEffect(() => {
    let wanted = true;
    const array = async (name) => (await get(`/api/v1/array/full/${path}/${name}?format=application/json`)).json();
    Promise.all(["temperature", "trajectories", "labels"].map(array)).then(
      ([x, trajectories, labels]) => wanted && setRead({ x, trajectories, labels }),
      (error) => wanted && setRead({ error }),
    );
    return () => void (wanted = false);
  }, [path]);
  const { x, trajectories, labels, error } = read;
  if (!x) return h("p", { role: error && "alert" }, String(error ?? "reading the trajectories…"));
  const n = trajectories.length;
  const clusters = trajectories.map((y, k) => ({ x, y, name: `cluster ${k}`, line: { color: colour(k) } }));
  const over = {
    xaxis: axis(theme, `temperature (${result.metadata.units.temperature})`),
    yaxis: axis(theme, "scaled intensity"),
    showlegend: true,
  };
  const shades = trajectories.flatMap((_, k) => [k, k + 1].map((edge) => [edge / n, colour(k)]));
  const z = labels.map((row) => row.map((k) => (k < 0 ? null : k))); // -1: not bright enough
  const map = { type: "heatmap", z, zmin: -0.5, zmax: n - 0.5, colorscale: shades, showscale: false };
  const square = {
    xaxis: axis(theme, "column", { constrain: "domain", showgrid: false }),
    yaxis: axis(theme, "row", { scaleanchor: "x", autorange: "reversed", showgrid: false }),
  };
  return h(
    "div",
    { "data-ainerd": "xtec" },
    h("p", null, `${n} clusters of ${result.metadata.pixels} pixels`),
    h(Plot, { traces: clusters, layout: over, height: "22em", label: "trajectories by cluster over temperature" }),
    h(Plot, { traces: [map], layout: square, height: "30em", label: "which pixel is in which cluster" }),
  );
}

(window.__AINERD_TECHNIQUES__ ||= {})["xtec"] = Ramp;
