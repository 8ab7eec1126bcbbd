// Registers the views with Tiled's web UI. This is a classic script, which Tiled loads by its address in `spec_views`;
// what draws comes as modules, once a view is opened.
(() => {
  const here = new URL(".", document.currentScript.src).href;
  const up = (segments, n) => segments.slice(0, segments.length - n).join("/");
  // Module, component, and how many segments the node lies below `ainerd`.
  const views = {
    AinerdCampaign: ["campaign.js", "Campaign", 0],
    AinerdResults: ["campaign.js", "Campaign", 1],
    AinerdResult: ["result.js", "Result", 2],
    AinerdSuggestions: ["suggestion.js", "Suggestions", 1],
    AinerdSuggestion: ["suggestion.js", "Suggestion", 2],
    AinerdLogbook: ["log.js", "Logbook", 1],
    AinerdLog: ["log.js", "LogLine", 2],
  };

  function lazy(file, name, below) {
    const h = React.createElement;
    return function View({ segments, item }) {
      const [loaded, setLoaded] = React.useState(null);
      React.useEffect(() => {
        let wanted = true;
        import(here + file).then(
          (module) => wanted && setLoaded({ View: module[name] }),
          (error) => wanted && setLoaded({ error }),
        );
        return () => void (wanted = false);
      }, []);
      if (loaded?.error) return h("p", { role: "alert" }, `This view cannot be loaded: ${loaded.error.message}`);
      if (!loaded) return h("p", { role: "status" }, "Loading the view…");
      return h(loaded.View, { key: segments.join("/"), root: up(segments, below), segments, item });
    };
  }

  const registered = (window.__TILED_SPEC_VIEWS__ ||= {});
  for (const [spec, [file, name, below]] of Object.entries(views)) registered[spec] = lazy(file, name, below);
})();
