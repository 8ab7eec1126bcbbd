// The page of a campaign, and the registration of all views with Tiled's web interface.
const MOST_COMPARED = 6; // chosen runs that are drawn together

/** The view of the node `ainerd`; `root` is its path. */
function Campaign({ root }) {
  const [agent, setAgent] = useState(undefined);
  const [onAsked, onRows] = useMemo(() => {
    const done = [];
    const both = [0, 1].map((k) => new Promise((resolve) => (done[k] = resolve)));
    plotlyAfter(Promise.all(both)); // after the gallery has sent its requests and the table is drawn
    return done;
  }, []);
  const { state, feed, again, more } = useCampaign(root, agent);
  const asking = useAsking(root, state, again);
  const agents = state?.agents.map((name) => [name, name]);
  const head = [
    h(Feed, { key: "feed", feed }),
    agents?.length > 1 &&
      h(Select, { key: "agent", label: "agent", value: state.agent ?? "", options: agents, onValue: setAgent }),
    state && h(Health, { key: "health", health: state.health, alarm: state.scene.novelty.alarm, computing: state.computing }),
  ];
  const why = feed.kind === "starting" ? "reading the campaign…" : `The campaign cannot be read: ${feed.why ?? ""}`;
  const screen = () => h(Screen, { root, onAsked, onRows, state, asking, more });
  return h(Frame, { label: "campaign", head, fills: true }, state ? screen() : nothing(why, "status"));
}

/** Everything below the head, as a function of a state of the campaign. */
function Screen({ root, state, asking, more, onAsked, onRows }) {
  const [picked, pick] = useState(null); // null: the newest
  const [chosen, setChosen] = useState(null); // keys in a lasso
  const [marked, setMarked] = useState(new Set()); // keys of the rows that are compared
  const [showsSimilar, showSimilar] = useState(false);
  const [only, setOnly] = useState(null);
  const [naming, name] = useState(null);
  const [mode, setMode] = useState(null);
  const [at, setAt] = useState(null);
  const { scene } = state;
  const newest = scene.runs.findLast((run) => run.done) ?? scene.runs.at(-1);
  const run = (picked && scene.byKey.get(picked)) || newest;
  const follows = run === newest;
  const ofRegime = useMemo(
    () => (only === null ? null : new Set(scene.runs.filter((each) => each.regime === only).map((each) => each.key))),
    [only, scene],
  );
  const similar = useMemo(() => showsSimilar && nearestTo(scene.runs, chosen), [showsSimilar, chosen, scene]);
  const choose = (keys) => {
    setChosen(keys.size ? keys : null);
    showSimilar(false);
  };
  const mark = (key) =>
    setMarked((old) => {
      const marked = new Set(key === null ? [] : old);
      if (key !== null && !marked.delete(key)) marked.add(key);
      return marked;
    });
  const startMode = (kind) => {
    setAt(null);
    setMode(kind);
  };
  const panel = (what, title, className, view, props) => {
    const content = h(Safe, { what }, h(view, props));
    return h("section", { className: `panel ${className}`, "aria-label": title }, h("h2", null, title), content);
  };
  const sampleTitle = mode ? `: click where to ${mode === "add" ? "measure" : "stay away"}` : "";
  const latentTitle = "Latent space" + (scene.latent.landmarks ? ": simulated exposures in grey" : "");
  const common = { scene, root, selected: run?.key, chosen: chosen ?? ofRegime, onPick: pick };
  const onPlace = mode ? setAt : () => {};
  const map = { ...common, onPick: mode ? undefined : pick, onPlace };
  const points = { ...common, picture: TECHNIQUES[scene.technique]?.thumbnail, onChoose: choose };
  const point = { scene, state, asking, mode, setMode: startMode, at };
  const done = scene.runs.filter((each) => (marked.size ? marked : chosen)?.has(each.key) && each.done);
  const compared = done.length > 1 && done.length <= MOST_COMPARED ? done : null;
  const gallery = { scene, root, state, asking, run, compared, follows, onAsked, onFollow: () => pick(null), onPick: pick };
  const looked = compared ? `${compared.length} chosen runs` : `The ${follows ? "newest" : "selected"} run`;
  const similarText = `most similar to the ${chosen?.size} chosen, nearest first `;
  const table = {
    ...common,
    only,
    onRows,
    marked,
    onMark: mark,
    more: scene.read < scene.count ? more : null,
    keys: similar || (chosen && [...chosen]),
    ordered: Boolean(similar),
    chosen: chosen && {
      text: similar ? similarText : `${chosen.size} chosen with the lasso `,
      alike: !similar,
      regime: asking.may ? commonRegime(scene, chosen) : null,
    },
    onClear: () => choose(new Set()),
    onAlike: () => showSimilar(true),
    onNameOf: name,
  };
  const log = { ...state.log, agents: state.agents.length, onPick: (key) => scene.byKey.has(key) && pick(key) };
  const form = () => h(Naming, { asking, regime: naming, onDone: () => name(null) });
  return h(
    "div",
    { className: "campaign" },
    h("p", { className: "summary" }, h(Found, { scene })),
    h(Legend, { scene, only, onOnly: setOnly, onName: asking.may ? name : null }),
    naming && asking.may && h("div", { className: "naming" }, form(), h(Answer, { asking })),
    h(
      "div",
      { className: "screen" },
      panel("the sample map", `Sample${sampleTitle}`, "sample", SampleMap, map),
      panel("the next point", "Next point", "following", NextPoint, point),
      panel("the technique's gallery", looked, "looked", Gallery, gallery),
      panel("the latent space", latentTitle, "latent", LatentMap, points),
      panel("the timeline", "Run after run", "time", Timeline, common),
    ),
    h(
      "div",
      { className: "below" },
      h(Safe, { what: "the table" }, h(Results, table)),
      panel("the log", "Log", "lines", Log, log),
    ),
  );
}

/** The regime of most of these runs; null if there is none. */
function commonRegime(scene, keys) {
  const counts = new Map();
  for (const run of scene.runs)
    if (keys.has(run.key) && run.regime >= 0) counts.set(run.regime, (counts.get(run.regime) ?? 0) + 1);
  const [best] = [...counts].sort((a, b) => b[1] - a[1]);
  return best && 2 * best[1] > keys.size ? scene.regimes.find((each) => each.id === best[0]) : null;
}

// By spec: the component, and the number of segments between `ainerd` and the node.
const VIEWS = {
  AinerdCampaign: [Campaign, 0],
  AinerdResults: [Campaign, 1],
  AinerdResult: [Result, 2],
  AinerdSuggestions: [Suggestions, 1],
  AinerdSuggestion: [Suggestion, 2],
  AinerdLogbook: [Logbook, 1],
  AinerdLog: [LogLine, 2],
  CatalogOfBlueskyRuns: [Runs, 0],
};
const registered = (window.__TILED_SPEC_VIEWS__ ||= {});
for (const [spec, [view, below]] of Object.entries(VIEWS))
  registered[spec] = ({ segments, item }) => {
    const root = segments.slice(0, segments.length - below).join("/");
    return h(view, { key: segments.join("/"), root, segments, item });
  };

// The names that the scripts of techniques may use.
window.__AINERD__ = {
  // prettier-ignore
  API, SCALE, Plot, axis, escaped, get, h, mean, nothing, number, numbers, readTable, regimeColor, useAsync, useEffect,
  useMemo, useState, useTheme, withError,
};
