// Views of ainerd in Tiled's web interface, by spec.
(() => {
  const h = window.React.createElement;
  const Empty = ({ segments }) => h("div", { "data-ainerd": "view" }, segments.join("/"));
  const views = (window.__TILED_SPEC_VIEWS__ ||= {});
  for (const spec of ["AinerdCampaign", "AinerdResults", "AinerdResult", "AinerdSuggestions", "AinerdSuggestion", "AinerdLogbook", "AinerdLog"])
    views[spec] = Empty;
})();
