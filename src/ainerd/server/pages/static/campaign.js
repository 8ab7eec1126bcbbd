// The page of a campaign, and the registration of all views with Tiled's web interface.

/** The view of the node `ainerd`; `root` is its path. */
function Campaign({ root }) {
  const [agent, setAgent] = useState(undefined);
  const [onAsked, onRows] = useMemo(() => {
    const done = [];
    const both = [0, 1].map((k) => new Promise((resolve) => (done[k] = resolve)));
    plotlyAfter(Promise.all(both)); // after the gallery has sent its requests and the table is drawn
    return done;
  }, []);
  const { state, feed, again } = useCampaign(root, agent);
  const session = useSession(root);
  const asking = useAsking(root, state?.agent, session, again, state?.commands);
  const replay = useReplay(root, state, agent);
  const { playing, shown } = replay;
  const health = useMemo(() => state?.health && { ...state.health, came: Date.now() / 1000 }, [state?.health]);
  const selectAgent = () =>
    h(
      "select",
      { key: "agent", value: state.agent ?? "", onChange: (e) => setAgent(e.target.value), "aria-label": "agent" },
      state.agents.map((name) => h("option", { key: name, value: name }, name)),
    );
  const head = [
    h(Feed, { key: "feed", feed, replaying: playing }),
    state?.agents?.length > 1 && selectAgent(),
    state && h(Replay, { key: "replay", replay, empty: !state.results.n }),
    state && !playing && h(Health, { key: "health", health, computing: state.computing }),
  ];
  const why = feed.kind === "starting" ? "reading the campaign…" : `The campaign cannot be read: ${feed.why ?? ""}`;
  const mayAsk = playing || health?.closed ? { ...asking, may: false } : asking;
  return h(
    Frame,
    { label: "campaign", head },
    shown
      ? h(Screen, { root, onAsked, onRows, state: shown, asking: mayAsk, replaying: playing })
      : nothing(why, "status"),
  );
}

function Replay({ replay, empty }) {
  const { playing, paused, pause, length, played, seek, time, start, stop } = replay;
  if (!playing)
    return button(`replay × ${REPLAY_SPEED}`, start, { className: "quiet", disabled: empty, "data-ainerd": "replay" });
  return h(
    "span",
    { className: "replay row" },
    button(paused ? "play" : "pause", () => pause(!paused)),
    h("input", {
      type: "range",
      min: 0,
      max: Math.max(1, length),
      step: 1,
      value: played,
      onChange: (e) => seek(Number(e.target.value)),
      "aria-label": "moment of the night",
      "aria-valuetext": clock(time, true),
    }),
    h("time", null, clock(time, true)),
    button("back to now", stop, { className: "main" }),
  );
}

/** All below the head, as a function of a state of the campaign. */
function Screen({ root, state, asking, replaying, onAsked, onRows }) {
  const [picked, pick] = useState(null); // null: the newest
  const [chosen, choose] = useState(null); // keys in a lasso
  const [showsSimilar, showSimilar] = useState(false);
  const [only, setOnly] = useState(null);
  const [naming, name] = useState(null);
  const [mode, setMode] = useState(null);
  const [at, setAt] = useState(null);
  const { results, regimes, sample, latent, next, novelty, thumbnail: pictures } = state;
  const scene = useMemo(() => makeScene(state), [results, regimes, sample, latent, next, novelty]);
  const newest = scene.runs.findLast((run) => run.done) ?? scene.runs.at(-1);
  const run = (picked && scene.byKey.get(picked)) || newest;
  const lassoed = chosen?.size ? chosen : null;
  const ofRegime = useMemo(
    () => (only === null ? null : new Set(scene.runs.filter((each) => each.regime === only).map((each) => each.key))),
    [only, scene],
  );
  const similar = useMemo(
    () => (showsSimilar && lassoed ? nearestTo(scene.runs, lassoed) : null),
    [showsSimilar, lassoed, scene],
  );
  const clear = () => {
    choose(null);
    showSimilar(false);
  };
  const chooseKeys = (keys) => {
    if (!keys.size) return clear();
    showSimilar(false);
    choose(keys);
  };
  const startMode = (kind) => {
    setAt(null);
    setMode(kind);
  };
  const panel = (what, title, className, child) =>
    h(
      "section",
      { className: `panel ${className}`, "aria-label": title },
      h("h2", null, title),
      h(Safe, { what }, child),
    );
  const sampleTitle = mode
    ? `Sample: click where to ${mode === "add" ? "measure" : "stay away"}`
    : replaying
      ? "Sample, without shading: earlier beliefs are not stored"
      : "Sample";
  const latentTitle = "Latent space" + (scene.latent.landmarks ? ": known dynamics in gray" : "");
  const common = { scene, root, selected: run?.key, chosen: lassoed ?? ofRegime, onPick: pick };
  const onPlace = mode ? (x, y) => setAt([x, y]) : () => {};
  const onFollow = () => pick(null);
  const follows = run === newest;
  const gallery = { scene, root, state, run, follows, replaying, onAsked, onFollow, onPick: pick };
  const picture = pictures?.[state.technique];
  const table = {
    scene,
    root,
    pictures,
    only,
    onRows,
    agent: state.agent,
    fresh: replaying ? 0 : `${results.n} ${regimes.atlas} ${Object.values(regimes.names ?? {})}`,
    keys: similar ?? (lassoed ? [...lassoed] : null),
    ordered: Boolean(similar),
    chosen: lassoed && {
      text: similar
        ? `most similar to the ${lassoed.size} chosen, nearest first `
        : `${lassoed.size} chosen with the lasso `,
      alike: !similar,
      regime: asking.may ? commonRegime(scene, lassoed) : null,
    },
    selected: run?.key,
    onPick: pick,
    onClear: clear,
    onAlike: () => showSimilar(true),
    onNameOf: name,
  };
  const onLine = (key) => scene.byKey.has(key) && pick(key);
  return h(
    "div",
    { className: "campaign" },
    h("p", { className: "summary" }, h(Found, { scene })),
    h(Legend, { scene, only, onOnly: setOnly, onName: asking.may ? name : null }),
    naming &&
      h(
        "div",
        { className: "naming" },
        h(Naming, { asking, regime: naming, onDone: () => name(null) }),
        h(Said, { asking }),
      ),
    h(
      "div",
      { className: "screen" },
      panel(
        "the sample map",
        sampleTitle,
        "sample",
        h(SampleMap, { ...common, onPick: mode ? undefined : pick, onPlace }),
      ),
      panel(
        "the next point",
        "Next point",
        "following",
        h(NextPoint, { scene, state, asking, mode, setMode: startMode, at }),
      ),
      panel(
        "the technique's gallery",
        follows ? "The newest run" : "The selected run",
        "looked",
        h(Gallery, gallery),
      ),
      panel("the latent space", latentTitle, "latent", h(LatentMap, { ...common, picture, onChoose: chooseKeys })),
      panel("the timeline", "Run after run", "time", h(Timeline, common)),
    ),
    h(
      "div",
      { className: "below" },
      h(Safe, { what: "the table" }, h(Results, table)),
      panel("the log", "Log", "lines", h(Log, { ...state.log, agents: state.agents?.length, onPick: onLine })),
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
  API, SCALE, Plot, axis, encoded, escaped, get, h, mean, nothing, number, numbers, regimeColor, useAsync, useEffect,
  useMemo, useState, useTheme, withError,
};
