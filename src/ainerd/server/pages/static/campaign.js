// The night on one screen: where, what, how alike, how new, and where next.

/** The view of the node `ainerd`; `root` is its path. */
function Campaign({ root }) {
  const [agent, setAgent] = useState(undefined);
  const [onAsked, onRows] = useMemo(() => {
    const told = [];
    const both = [0, 1].map((k) => new Promise((done) => (told[k] = done)));
    plotlyAfter(Promise.all(both)); // once the gallery has asked for what it shows, and the table can be read
    return told;
  }, []);
  const { state, feed, again } = useCampaign(root, agent);
  const session = useSession(root);
  const asking = useAsking(root, state?.agent, session, again);
  const replay = useReplay(root, state, agent);
  const shown = replay.shown;
  const health = useMemo(() => state?.health && { ...state.health, came: Date.now() / 1000 }, [state?.health]);
  const head = [
    h(Feed, { key: "feed", feed, replaying: replay.playing }),
    state?.agents?.length > 1 &&
      h(
        "select",
        { key: "agent", value: state.agent ?? "", onChange: (e) => setAgent(e.target.value), "aria-label": "agent" },
        state.agents.map((name) => h("option", { key: name, value: name }, name)),
      ),
    state && h(Replay, { key: "replay", replay, empty: !state.results.n }),
    state && !replay.playing && h(Health, { key: "health", health, computing: state.computing }),
  ];
  return h(
    Frame,
    { label: "campaign", head },
    shown
      ? h(Screen, {
          root,
          onAsked,
          onRows,
          state: shown,
          asking: replay.playing || health?.closed ? { ...asking, may: false } : asking,
          replaying: replay.playing,
        })
      : h(Waiting, { feed }),
  );
}

function Waiting({ feed }) {
  return h(
    "p",
    { className: "nothing", role: "status" },
    feed.kind === "starting" ? "reading the campaign…" : `The campaign cannot be read: ${feed.why ?? ""}`,
  );
}

function Replay({ replay, empty }) {
  if (!replay.playing)
    return h(
      "button",
      { type: "button", className: "quiet", disabled: empty, onClick: replay.start, "data-ainerd": "replay" },
      `replay × ${TIMES}`,
    );
  return h(
    "span",
    { className: "replay row" },
    h("button", { type: "button", onClick: () => replay.pause(!replay.paused) }, replay.paused ? "play" : "pause"),
    h("input", {
      type: "range",
      min: 0,
      max: Math.max(1, replay.length),
      step: 1,
      value: replay.played,
      onChange: (e) => replay.seek(Number(e.target.value)),
      "aria-label": "moment of the night",
      "aria-valuetext": clock(replay.time, true),
    }),
    h("time", null, clock(replay.time, true)),
    h("button", { type: "button", className: "main", onClick: replay.stop }, "back to now"),
  );
}

/** Everything below the head: a function of a state of the campaign, `asking` of `useAsking`. */
function Screen({ root, state, asking, replaying, onAsked, onRows }) {
  const [picked, pick] = useState(null); // null: the newest
  const [chosen, choose] = useState(null); // keys within a lasso
  const [likeThese, showAlike] = useState(false);
  const [only, setOnly] = useState(null);
  const [naming, name] = useState(null);
  const [mode, setMode] = useState(null);
  const [at, setAt] = useState(null);
  const scene = useMemo(
    () => makeScene(state),
    [state.results, state.regimes, state.sample, state.latent, state.next, state.novelty],
  );
  const newest = scene.runs.findLast((run) => run.done) ?? scene.runs.at(-1);
  const run = (picked && scene.byKey.get(picked)) || newest;
  const lassoed = chosen?.size ? chosen : null;
  const ofRegime = useMemo(
    () => (only === null ? null : new Set(scene.runs.filter((each) => each.regime === only).map((each) => each.key))),
    [only, scene],
  );
  const near = useMemo(() => (likeThese && lassoed ? alike(scene.runs, lassoed) : null), [likeThese, lassoed, scene]);
  const faint = lassoed ?? ofRegime;
  const words = lassoed && {
    text: near ? `most like the ${lassoed.size} chosen, nearest first ` : `${lassoed.size} chosen with the lasso `,
    alike: !near,
    regime: asking.may ? commonest(scene, lassoed) : null,
  };
  const clear = () => {
    choose(null);
    showAlike(false);
  };
  const startMode = (kind) => {
    setAt(null);
    setMode(kind);
  };
  const pictures = state.thumbnail;
  const panel = (what, title, className, child) =>
    h(
      "section",
      { className: `panel ${className}`, "aria-label": title },
      h("h2", null, title),
      h(Safe, { what }, child),
    );
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
        mode
          ? `Sample: click where to ${mode === "add" ? "measure" : "stay away"}`
          : replaying
            ? "Sample, without its shading: what was believed then is not kept"
            : "Sample",
        "sample",
        h(SampleMap, {
          scene,
          selected: run?.key,
          chosen: faint,
          onPick: mode ? undefined : pick,
          onPlace: mode ? (x, y) => setAt([x, y]) : () => {},
        }),
      ),
      panel(
        "the next point",
        "Next point",
        "following",
        h(NextPoint, { scene, state, asking, mode, setMode: startMode, at }),
      ),
      panel(
        "the technique's gallery",
        run === newest ? "The newest run" : "Looked at",
        "looked",
        h(Gallery, { scene, root, state, run, follows: run === newest, replaying, onAsked, onPick: pick, onFollow: () => pick(null) }),
      ),
      panel(
        "the latent space",
        "Latent space" + (scene.latent.landmarks ? ": grey, what is known" : ""),
        "latent",
        h(LatentMap, {
          scene,
          root,
          picture: pictures?.[state.technique],
          selected: run?.key,
          chosen: faint,
          onPick: pick,
          onChoose: (keys) => (keys.size ? (showAlike(false), choose(keys)) : clear()),
        }),
      ),
      panel(
        "the timeline",
        "Run after run",
        "time",
        h(Timeline, { scene, selected: run?.key, chosen: faint, onPick: pick }),
      ),
    ),
    h(
      "div",
      { className: "below" },
      h(
        Safe,
        { what: "the table" },
        h(Results, {
          scene,
          root,
          pictures,
          agent: state.agent,
          fresh: replaying
            ? 0
            : `${state.results.n} ${state.regimes.atlas} ${Object.values(state.regimes.names ?? {})}`,
          keys: near ?? (lassoed ? [...lassoed] : null),
          ordered: Boolean(near),
          chosen: words,
          selected: run?.key,
          only,
          onRows,
          onPick: pick,
          onClear: clear,
          onAlike: () => showAlike(true),
          onNameOf: name,
        }),
      ),
      panel(
        "the log",
        "Log",
        "lines",
        h(Log, {
          lines: state.log?.lines,
          before: state.log?.before,
          agents: state.agents?.length,
          onPick: (key) => (scene.byKey.has(key) ? pick(key) : undefined),
        }),
      ),
    ),
  );
}

/** The regime that most of some runs are of; null if it is none. */
function commonest(scene, keys) {
  const counts = new Map();
  for (const run of scene.runs)
    if (keys.has(run.key) && run.regime >= 0) counts.set(run.regime, (counts.get(run.regime) ?? 0) + 1);
  const [best] = [...counts].sort((a, b) => b[1] - a[1]);
  return best && 2 * best[1] > keys.size ? scene.regimes.find((each) => each.id === best[0]) : null;
}

// Registers the views with Tiled's web UI, which asks for this script by its address in `spec_views`. The server puts all
// other modules into it.

// By spec: the component, and how many segments the node lies below `ainerd`.
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

window.__AINERD__ = {
  Plot, SCALE, axis, colour, encoded, escaped, h, mean, number, numbers, useAsync, useEffect, useMemo, useState, useTheme,
  withError,
};
