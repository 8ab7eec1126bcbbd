// A campaign as it is now, and as it grows: two questions a second, for what is new alone.

const EVERY_MS = 500; // between an answer and the next question
const ENDED_MS = 5000; // after the agent has ended
const LAST_MS = 30_000; // between questions to a server that is away

/** The newer of each that is not null: null says that nothing changed. */
function known(before, answer) {
  if (!answer) return before;
  const said = Object.entries(answer ?? {}).filter(([, value]) => value !== null && value !== undefined);
  return same(before, { ...before, ...Object.fromEntries(said) });
}

/** The old object where the new one says the same, so that nothing is drawn for it again. */
function same(before, now) {
  return JSON.stringify(before) === JSON.stringify(now) ? before : now;
}

/** What came is put beside what was there; the new state, in which old objects are not changed. */
function merged(before, answer) {
  if (!before || answer.whole) return { ...answer, results: { ...answer.results, index: undefined } };
  const kept = { ...before, ...answer, results: grown(before.results, answer.results) };
  const { belief, belief_same, ...sample } = answer.sample ?? {};
  const { belief: old, belief_same: _, ...oldSample } = before.sample ?? {};
  const unchanged = belief_same || belief === undefined;
  kept.sample =
    unchanged && JSON.stringify(sample) === JSON.stringify(oldSample)
      ? before.sample
      : { ...sample, belief: unchanged ? old : belief };
  kept.regimes = known(before.regimes, answer.regimes);
  kept.latent = known(before.latent, answer.latent);
  kept.newest = answer.newest ?? before.newest;
  for (const name of ["suggestions", "wishes", "views", "thumbnail", "novelty", "next", "computing", "agents"])
    kept[name] =
      (answer[name] ?? null) === null && name === "suggestions"
        ? before[name]
        : name in answer
          ? same(before[name], answer[name])
          : before[name];
  const old_lines = before.log?.lines ?? [];
  const there = new Set(old_lines.map((line) => line.key));
  const fresh = (answer.log?.lines ?? []).filter((line) => !there.has(line.key));
  kept.log = fresh.length ? { ...before.log, lines: [...old_lines, ...fresh].slice(-2000) } : before.log;
  return kept;
}

/** Columns of results, with those that came at their places. */
function grown(before, answer) {
  const { index = [], n, of = {} } = answer ?? {};
  if (!index.length) return before;
  const put = (old, column) => {
    const longer = [...(old ?? Array(before.n).fill(null))];
    index.forEach((at, k) => (longer[at] = column[k]));
    return longer;
  };
  const results = { ...before, n: n ?? before.n, of: { ...before.of } };
  for (const [name, column] of Object.entries(answer))
    if (Array.isArray(column) && name !== "index") results[name] = put(before[name], column);
  for (const [name, column] of Object.entries(of)) results.of[name] = put(before.of[name], column);
  return results;
}

/**
 * The campaign's state, and how it is heard of: `{state, feed, again}`.
 *
 * `feed.kind` is "starting", "live", "hidden" (nobody looks: it asks no more), "away" (the server does not answer;
 * `feed.next` is when it is asked again) or "refused"; `again()` asks at once.
 */
function useCampaign(root, agent) {
  const [state, setState] = useState(null);
  const [feed, setFeed] = useState({ kind: "starting" });
  const poke = useRef(() => {});
  useEffect(() => {
    let ends = false,
      timer,
      failures = 0,
      cursor,
      going = null,
      now = null;
    const stop = new AbortController();
    const later = (ms) => {
      clearTimeout(timer);
      timer = setTimeout(once, ms);
    };
    async function once() {
      if (ends || going) return going;
      if (document.hidden) return setFeed({ kind: "hidden" });
      going = ask("campaign", root, { agent, since: cursor }, { signal: stop.signal });
      try {
        const answer = await going;
        if (ends) return;
        failures = 0;
        if (answer) {
          cursor = answer.cursor;
          now = merged(now, answer);
          setState(now);
        }
        setFeed((old) => (old.kind === "live" ? old : { kind: "live" }));
        later(now.health?.closed ? ENDED_MS : EVERY_MS);
      } catch (error) {
        if (ends) return;
        failures += 1;
        const wait = Math.min(LAST_MS, 1000 * 2 ** failures);
        const refused = error.status >= 400 && error.status < 500;
        setFeed({ kind: refused ? "refused" : "away", why: error.message, wait });
        if (error.status === 404 || error.status === 422) cursor = undefined;
        later(wait);
      } finally {
        going = null;
      }
    }
    poke.current = () => later(0);
    const seen = () => later(0);
    document.addEventListener("visibilitychange", seen);
    window.addEventListener("online", seen);
    once();
    return () => {
      ends = true;
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
      window.removeEventListener("online", seen);
    };
  }, [root, agent]);
  return { state, feed, again: () => poke.current() };
}

/** Who the person is to the server, and whether they may write: `{who, verified, may_write}`; null until known. */
function useSession(root) {
  const [session, setSession] = useState(null);
  useEffect(() => {
    let wanted = true;
    ask("session", root).then(
      (said) => wanted && setSession(said),
      () => wanted && setSession({ who: null, verified: false, may_write: false }),
    );
    return () => void (wanted = false);
  }, [root]);
  return session;
}

// A campaign as plain rows: what the panels take, without a server.

/**
 * Rows and names from the columns of the server's answer.
 *
 * A run is `{key, at, number, scan, t, x, y, u, v, p, novel, regime, status, done, failed, duration, colour, of}`;
 * `number` counts from 1 in the order of time, `of` are the quantities of the timeline. Runs come by time.
 */
function makeScene(state) {
  const { results } = state;
  const [regimes, sample, novelty] = [state.regimes ?? {}, state.sample ?? {}, state.novelty ?? {}];
  const runs = [];
  const of = Object.entries(results.of ?? {});
  for (let at = 0; at < (results.key?.length ?? 0); at++) {
    if (!results.key[at]) continue;
    const status = results.status[at];
    if (status === "computing") continue;
    const regime = regimes.label?.[at] ?? -1;
    runs.push({
      key: results.key[at],
      at,
      scan: results.scan[at],
      t: results.t[at],
      x: results.x[at],
      y: results.y?.[at] ?? null,
      u: results.u[at],
      v: results.v[at],
      p: results.p[at],
      novel: Boolean(results.novel[at]),
      regime,
      status,
      failed: status === "failed",
      done: status !== "failed",
      duration: results.duration[at],
      colour: colour(regime),
      of: Object.fromEntries(of.map(([name, column]) => [name, column[at]])),
    });
  }
  runs.sort((a, b) => (a.t ?? 0) - (b.t ?? 0) || a.at - b.at);
  runs.forEach((run, k) => (run.number = k + 1));
  return {
    agent: state.agent,
    runs,
    byKey: new Map(runs.map((run) => [run.key, run])),
    motors: sample.motors ?? [],
    units: sample.units ?? {},
    bounds: sample.bounds ?? {},
    excluded: sample.excluded ?? [],
    belief: sample.belief,
    regimes: regimesOf(runs, regimes),
    supported: regimes.supported,
    latent: state.latent ?? {},
    novelty,
    alpha: novelty.alpha ?? 0.05,
    next: state.next,
    quantities: of.map(([name]) => name),
  };
}

function regimesOf(runs, regimes) {
  const [names, kinds] = [regimes.names ?? {}, regimes.kinds ?? {}];
  const counts = new Map();
  for (const run of runs) if (run.done) counts.set(run.regime, (counts.get(run.regime) ?? 0) + 1);
  return [...counts]
    .map(([id, n]) => ({ id, n, name: names[id], kind: kinds[id], colour: colour(id) }))
    .sort((a, b) => (a.id < 0) - (b.id < 0) || a.id - b.id);
}

/** Keys of runs by their distance in the latent map from the middle of some, nearest first. */
function alike(runs, keys) {
  const chosen = runs.filter((run) => keys.has(run.key) && run.u !== null);
  if (!chosen.length) return [];
  const u = chosen.reduce((sum, run) => sum + run.u, 0) / chosen.length;
  const v = chosen.reduce((sum, run) => sum + run.v, 0) / chosen.length;
  return runs
    .filter((run) => run.u !== null && run.done && !keys.has(run.key))
    .map((run) => [run.key, (run.u - u) ** 2 + (run.v - v) ** 2])
    .sort((a, b) => a[1] - b[1])
    .map(([key]) => key);
}

// The night again, sixty times as fast: the same state as the server gives, as it was at each moment.

const TIMES = 60;
const EACH_MS = 100;
const LONGEST_GAP_S = 600; // of the night's: beam dumps and breakfasts are cut short

/** Times of the night in s since 1970, with long gaps cut: `{start, end, at}`, where `at(s)` is the time after s seconds. */
function course(times) {
  const sorted = times.filter(Number.isFinite).sort((a, b) => a - b);
  const steps = [];
  let played = 0;
  sorted.forEach((time, k) => {
    const gap = k ? time - sorted[k - 1] : 0;
    played += Math.min(gap, LONGEST_GAP_S);
    steps.push([played, time, gap > LONGEST_GAP_S]);
  });
  const at = (s) => {
    if (!steps.length) return 0;
    let low = 0;
    for (let k = 0; k < steps.length && steps[k][0] <= s; k++) low = k;
    const [from, time] = steps[low];
    return low + 1 < steps.length ? Math.min(time + (s - from), steps[low + 1][1]) : time;
  };
  return { length: played, at };
}

/** The state as it was at a time; `history` is the server's answer to `replay`. */
function asOf(state, history, time) {
  const { results } = state;
  const keep = results.t.map((t) => t <= time);
  const only = (column) => column.filter((_, k) => keep[k]);
  const cut = Object.fromEntries(
    Object.entries(results).map(([name, column]) => [name, Array.isArray(column) ? only(column) : column]),
  );
  cut.of = Object.fromEntries(Object.entries(results.of ?? {}).map(([name, column]) => [name, only(column)]));
  cut.n = cut.key.length;
  const atlas = history?.atlases?.filter((each) => each.t <= time + 5).at(-1);
  const places = results.t.map((_, k) => k).filter((k) => keep[k]);
  const label = places.map((k) =>
    atlas?.label?.[k] !== undefined ? atlas.label[k] : (state.regimes.label?.[k] ?? -1),
  );
  const claims = cut.p.filter((p) => p !== null).length;
  const open = history?.suggestions
    ?.filter((each) => each.t <= time && !(each.status_time && each.status_time <= time && each.status !== "accepted"))
    .at(-1);
  return {
    ...state,
    results: cut,
    regimes: { ...state.regimes, label },
    sample: { ...state.sample, belief: null },
    novelty: {
      ...state.novelty,
      claims,
      expected_false: claims * (state.novelty.alpha ?? 0),
      flagged: cut.novel.filter(Boolean).length,
      bound: null,
    },
    next: open ? { ...open, status: "replayed" } : null,
    log: { ...state.log, lines: (state.log?.lines ?? []).filter((line) => line.t <= time), before: 0 },
    wishes: [],
    held: null,
  };
}

/** Plays the night: `{playing, shown, time, share, start, stop, seek, pause, paused}`; `shown` is the state to draw. */
function useReplay(root, state, agent) {
  const [history, setHistory] = useState(null);
  const [played, setPlayed] = useState(null); // seconds of the night, null: not replayed
  const [paused, pause] = useState(false);
  const night = useRef(null);
  const playing = played !== null;
  const plan = useMemo(
    () =>
      night.current
        ? course(night.current.results.t.concat((night.current.log?.lines ?? []).map((line) => line.t)))
        : null,
    [playing],
  );
  useEffect(() => {
    if (!playing || paused || !plan) return;
    const timer = setInterval(() => setPlayed((now) => Math.min(plan.length, now + (TIMES * EACH_MS) / 1000)), EACH_MS);
    return () => clearInterval(timer);
  }, [playing, paused, plan]);
  const start = () => {
    night.current = state;
    ask("replay", root, { agent }).then(setHistory, () => setHistory({}));
    pause(false);
    setPlayed(0);
  };
  const stop = () => setPlayed(null);
  const time = playing && plan ? plan.at(played) : null;
  // What is seen changes with a result, a line or a suggestion, not ten times a second.
  const step = useMemo(() => {
    if (!playing) return 0;
    const past = (times) => times.filter((t) => t <= time).length;
    const { results, log } = night.current;
    return [
      past(results.t),
      past((log?.lines ?? []).map((line) => line.t)),
      past((history?.suggestions ?? []).flatMap((each) => [each.t, each.status_time ?? Infinity])),
      past((history?.atlases ?? []).map((each) => each.t)),
    ].join();
  }, [playing, time, history]);
  const shown = useMemo(
    () => (playing ? asOf(night.current, history, time) : state),
    [playing ? step : state, history],
  );
  return { playing, shown, time, played, length: plan?.length ?? 0, start, stop, paused, pause, seek: setPlayed };
}
