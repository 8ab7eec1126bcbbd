// One picture by Plotly, in the colours of the page; it keeps what a person zoomed into while data come.
import { h, useEffect, useRef, useState } from "./react.js";
import { plotly } from "./server.js";
import { useTheme } from "./theme.js";

const BUTTONS = {
  displaylogo: false,
  responsive: false,
  modeBarButtonsToRemove: ["autoScale2d", "zoomIn2d", "zoomOut2d", "toggleSpikelines"],
  toImageButtonOptions: { scale: 3, filename: "ainerd" },
};

/** An axis in the page's colours; `more` is Plotly's. */
export function axis(theme, title, more = {}) {
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
export function escaped(text) {
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
export function Plot({ traces, layout, label, on = {}, height, name, menu = "hover", drawn }) {
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
