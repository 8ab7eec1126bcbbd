// How X-TEC shows a ramp on the page of a result: trajectories by cluster over temperature, and where clusters lie.
(() => {
  const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#000000"];
  const array = async (get, path, name) =>
    (await get(`/api/v1/array/full/${path}/${name}?format=application/json`)).json();

  const Ramp = ({ React, Plotly, path, result, get }) => {
    const h = React.createElement;
    const lines = React.useRef(), map = React.useRef();
    const [problem, setProblem] = React.useState("");
    const unit = result.arrays.temperature?.unit || "";
    React.useEffect(() => {
      let isOld = false;
      const draw = async () => {
        const [temperature, trajectories, labels] = await Promise.all(
          ["temperature", "trajectories", "labels"].map((name) => array(get, path, name)));
        if (isOld) return;
        const traces = trajectories.map((y, k) => ({
          x: temperature, y, mode: "lines+markers", name: `cluster ${k}`, line: { color: COLOURS[k % COLOURS.length] } }));
        Plotly.react(lines.current, traces,
          { xaxis: { title: { text: unit ? `temperature (${unit})` : "temperature" } }, yaxis: { title: { text: "trajectory" } },
            margin: { t: 20, r: 10 }, height: 360 }, { displaylogo: false, responsive: true });
        const n = Math.max(trajectories.length, 1);
        const shades = Array.from({ length: n }, (_, k) => COLOURS[k % COLOURS.length])
          .flatMap((c, k) => [[k / n, c], [(k + 1) / n, c]]);
        Plotly.react(map.current, [{ z: labels, type: "heatmap", zmin: -0.5, zmax: n - 0.5, colorscale: shades, showscale: false,
          hovertemplate: "cluster %{z}<extra></extra>" }],
          { yaxis: { scaleanchor: "x", autorange: "reversed" }, margin: { t: 20, r: 10 }, height: 360 },
          { displaylogo: false, responsive: true });
      };
      draw().catch((error) => isOld || setProblem(String(error)));
      return () => { isOld = true; };
    }, [path]);
    const summary = result.metadata;
    return h("div", { "data-ainerd": "xtec" },
      problem && h("p", { role: "alert" }, problem),
      h("p", null, `${summary.clusters ?? "?"} clusters of ${summary.pixels ?? "?"} pixels`),
      h("div", { ref: lines, role: "img", "aria-label": "trajectories by cluster over temperature" }),
      h("div", { ref: map, role: "img", "aria-label": "which pixel is in which cluster" }));
  };
  (window.__AINERD_TECHNIQUES__ ||= {})["xtec"] = Ramp;
})();
