// The state of a campaign: read twice a second, as rows for the panels, and as it was at an earlier moment.
const EVERY_MS = 500; // between an answer and the next request
const ENDED_MS = 5000; // after the agent has ended
const LONGEST_WAIT_MS = 30_000; // between requests to a server that does not answer
const SILENT_S = 60; // after which a page turns to another agent that reports
const SESSION_MS = 5000; // until the session is read again, if that failed
const REPLAY_SPEED = 60;
const REPLAY_STEP_MS = 100;
const REFIT_S = 5; // after a result, until its refit is written
const LONGEST_GAP_S = 600; // longer breaks of a night are cut short in its replay

/** The state updated with an answer, which has only the parts that have changed; old objects are not changed. */
function merge(before, answer) {
  if (!before || answer.whole) return answer;
  const log = answer.log.lines.length ? mergeLog(before.log, answer.log) : before.log;
  return { ...before, ...answer, results: mergeColumns(before.results, answer.results), log };
}

/** The newest lines without a gap: the server sends only the newest of many new ones; `before` are the older ones. */
function mergeLog(old, { lines, before }) {
  const isNext = before <= old.before + old.lines.length;
  const kept = isNext ? [...old.lines, ...lines].slice(-2000) : lines;
  return { lines: kept, before: before + lines.length - kept.length };
}

/** Columns of results with the values of an answer at their indices. */
function mergeColumns(before, answer) {
  const { index = [], n, of = {} } = answer ?? {};
  if (!index.length) return before;
  const merged = (old, column) => {
    const values = [...(old ?? Array(before.n).fill(null))];
    index.forEach((at, k) => (values[at] = column?.[k] ?? null));
    return values;
  };
  const results = { ...before, n: n ?? before.n, of: { ...before.of } };
  for (const [name, column] of Object.entries(answer))
    if (Array.isArray(column) && name !== "index") results[name] = merged(before[name], column);
  const names = Object.keys({ ...before.of, ...of }); // without a column: a growing result may lose a number
  for (const name of names) results.of[name] = merged(before.of[name], of[name]);
  return results;
}

/** Whether an agent has reported lately. */
const isHere = (health) => Boolean(health && !health.closed && health.now - health.heard < SILENT_S);

/**
 * The state of a campaign and of the connection: `{state, feed, again}`.
 *
 * `feed.kind` is "starting", "live", "hidden" (the page is not visible: no requests), "away" (the server does not
 * answer; the next request is after `feed.wait` ms) or "refused"; `again()` sends a request now.
 */
function useCampaign(root, agent) {
  const [state, setState] = useState(null);
  const [feed, setFeed] = useState({ kind: "starting" });
  const poke = useRef(() => {});
  useEffect(() => {
    const stop = new AbortController();
    let [timer, failures, cursor, pending, now] = [undefined, 0, undefined, null, null];
    const later = (ms) => {
      clearTimeout(timer);
      timer = setTimeout(once, ms);
    };
    async function once() {
      if (stop.signal.aborted || pending) return;
      if (document.hidden) return setFeed({ kind: "hidden" });
      // of several agents the same one, while it reports
      const shown = agent ?? (isHere(now?.health) ? now.agent : undefined);
      const late = new AbortController(); // a connection that was lost in silence never ends
      const end = setTimeout(() => late.abort(new Error(`no answer within ${LONGEST_WAIT_MS / 1000} s`)), LONGEST_WAIT_MS);
      const signal = AbortSignal.any([stop.signal, late.signal]);
      pending = ask("campaign", root, { agent: shown, since: cursor }, { signal });
      try {
        const answer = await pending;
        if (stop.signal.aborted) return;
        failures = 0;
        if (answer) {
          cursor = answer.cursor;
          now = merge(now, answer);
          setState(now);
        }
        setFeed((old) => (old.kind === "live" ? old : { kind: "live" }));
        later(now.health?.closed ? ENDED_MS : EVERY_MS);
      } catch (error) {
        if (stop.signal.aborted) return;
        failures += 1;
        const wait = Math.min(LONGEST_WAIT_MS, 1000 * 2 ** failures);
        const refused = error.status >= 400 && error.status < 500;
        setFeed({ kind: refused ? "refused" : "away", why: error.message, wait });
        if (error.status === 404 || error.status === 422) cursor = undefined;
        later(wait);
      } finally {
        clearTimeout(end);
        pending = null;
      }
    }
    poke.current = () => later(0);
    const targets = { visibilitychange: document, online: window };
    const stops = Object.entries(targets).map(([event, target]) => listened(target, event, poke.current));
    once();
    return () => {
      clearTimeout(timer);
      [() => stop.abort(), ...stops].forEach((end) => end());
    };
  }, [root, agent]);
  return { state, feed, again: () => poke.current() };
}

/** Who the server takes the person for, and whether they may write: `{who, may_write}`; null until known. */
function useSession(root) {
  const [attempt, setAttempt] = useState(0);
  const { value, error } = useAsync(() => ask("session", root), [root, attempt]);
  useEffect(() => {
    if (!error) return;
    const timer = setTimeout(() => setAttempt(attempt + 1), SESSION_MS);
    return () => clearTimeout(timer);
  }, [error]);
  return value ?? null;
}

/**
 * The state as rows and names for the panels.
 *
 * A run is `{key, number, scan, t, x, y, place, u, v, p, novel, regime, status, done, failed, duration, color, of}`; The
 * runs are in the order of time, in which `number` counts from 1; `of` holds the quantities of the timeline.
 */
function makeScene(state) {
  const { results } = state;
  const { regimes = {}, sample = {}, novelty = {} } = state;
  const quantities = Object.keys(results.of ?? {});
  const [runs, motors] = [[], sample.motors ?? []];
  (results.key ?? []).forEach((key, k) => {
    const status = results.status[k];
    if (!key || status === "computing") return;
    const regime = regimes.label?.[k] ?? -1;
    const run = { key, at: k, regime, status, failed: status === "failed", done: status !== "failed" };
    for (const name of ["scan", "t", "x", "u", "v", "p", "own", "duration"]) run[name] = results[name][k];
    run.reason = results.reason?.[k];
    run.y = results.y?.[k] ?? null;
    const columns = [results.x, results.y, ...motors.slice(2).map((name) => results[`at ${name}`])];
    run.place = Object.fromEntries(motors.map((name, j) => [name, columns[j]?.[k] ?? null]));
    run.novel = Boolean(results.novel[k]);
    run.color = regimeColor(regime);
    run.of = Object.fromEntries(quantities.map((name) => [name, results.of[name][k]]));
    runs.push(run);
  });
  runs.sort((a, b) => (a.t ?? 0) - (b.t ?? 0) || a.at - b.at);
  runs.forEach((run, k) => (run.number = k + 1));
  const counts = new Map();
  for (const run of runs) if (run.done) counts.set(run.regime, (counts.get(run.regime) ?? 0) + 1);
  return {
    agent: state.agent,
    runs,
    byKey: new Map(runs.map((run) => [run.key, run])),
    motors,
    units: sample.units ?? {},
    bounds: sample.bounds ?? {},
    excluded: sample.excluded ?? [],
    belief: sample.belief,
    regimes: [...counts]
      .map(([id, n]) => {
        const color = regimeColor(id);
        return { id, n, name: regimes.names?.[id], kind: regimes.kinds?.[id], color };
      })
      .sort((a, b) => (a.id < 0) - (b.id < 0) || a.id - b.id),
    supported: regimes.supported,
    sentences: regimes.sentences,
    latent: state.latent ?? {},
    novelty,
    alpha: novelty.alpha ?? 0.05,
    next: state.next,
    queue: state.queue ?? [],
    quantities,
  };
}

/** Keys of the other runs by their distance in the latent map from the middle of some, nearest first. */
function nearestTo(runs, keys) {
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

/**
 * The course of a night, with long gaps cut: its `length` in s, the `times` of its results and lines, and `at(s)`, the
 * time after s seconds of replay.
 */
function makeCourse({ results, log }) {
  const all = [...results.t, ...results.t.map(knownAt(results, log)), ...(log?.lines ?? []).map((line) => line.t)];
  const times = all.filter(Number.isFinite).sort((a, b) => a - b);
  let length = 0;
  const steps = times.map((time, k) => {
    length += k ? Math.min(time - times[k - 1], LONGEST_GAP_S) : 0;
    return [length, time];
  });
  const at = (s) => {
    if (!steps.length) return 0;
    const k = Math.max(0, steps.findLastIndex(([from]) => from <= s));
    const [from, time] = steps[k];
    return k + 1 < steps.length ? Math.min(time + (s - from), steps[k + 1][1]) : time;
  };
  return { length, times, at };
}

/** When each result became known: with its line of the log, at the latest at the end of its exposure. */
function knownAt(results, log) {
  const logged = new Map((log?.lines ?? []).toReversed().map((line) => [line.result, line.t]));
  return (t, k) => Math.min(t + (results.duration?.[k] ?? 0), logged.get(results.key[k]) ?? Infinity);
}

/** The point that was measured at a time and the next one; `open` are the suggestions without an outcome then. */
function pointsAt({ results, sample, log }, open, time) {
  const known = knownAt(results, log);
  const running = results.t.findIndex((t, k) => t <= time && time < known(t, k));
  const [xName, yName] = sample?.motors ?? [];
  const isThere = ({ position }) =>
    [[xName, "x"], [yName, "y"]].every(([name, column]) => {
      const [low, high] = sample.bounds?.[name] ?? [0, 1];
      return !name || Math.abs(position[name] - results[column][running]) < 0.01 * (high - low);
    });
  const measured = open.filter((each) => each.status === "measured").sort((a, b) => a.status_time - b.status_time);
  const measuring = running >= 0 ? measured.find(isThere) : undefined;
  const others = measured.filter((each) => each !== measuring);
  const proposed = open.filter((each) => each.status !== "measured").at(-1);
  const next = measuring ? (proposed ?? others[0]) : (others[0] ?? proposed);
  return { measuring: measuring ?? null, next: next ? { ...next, status: "replayed" } : null };
}

/** The state as it was at a time, without later results; `history` is the server's answer to `replay`. */
function asOf(state, history, time) {
  const { results } = state;
  const known = knownAt(results, state.log);
  const keep = results.t.map((t, k) => known(t, k) <= time);
  const cut = (column) => (Array.isArray(column) ? column.filter((_, k) => keep[k]) : column);
  const cutAll = (columns) => Object.fromEntries(Object.entries(columns).map(([name, c]) => [name, cut(c)]));
  const past = { ...cutAll(results), of: cutAll(results.of ?? {}) };
  past.n = past.key.length;
  const labels = {}; // each refit has only those that it changed
  for (const atlas of history?.atlases ?? []) if (atlas.t <= time + REFIT_S) Object.assign(labels, atlas.label);
  const label = cut(results.t.map((_, k) => labels[k] ?? history?.first?.[k] ?? -1));
  const claims = past.p.filter((p) => p !== null).length;
  const flagged = past.novel.filter(Boolean).length;
  const expected_false = claims * (state.novelty.alpha ?? 0);
  const isOver = (each) => each.status_time && each.status_time <= time && each.status !== "accepted";
  const open = (history?.suggestions ?? []).filter((each) => each.created <= time && !isOver(each));
  const { agent, agents, agent_key, technique, views, thumbnail, latent, sample, log } = state;
  const decided = Object.assign({}, ...(history?.moments ?? []).filter((moment) => moment.t <= time));
  const byId = new Map((history?.suggestions ?? []).map((each) => [each.id, each]));
  return {
    ...{ agent, agents, agent_key, technique, views, thumbnail, latent },
    results: past,
    regimes: { label, names: decided.names },
    sample: { ...sample, belief: null, bounds: decided.bounds ?? sample.bounds, excluded: decided.excluded ?? [] },
    held: decided.held,
    queue: (decided.queue ?? []).filter((id) => byId.has(id)).map((id) => byId.get(id)),
    novelty: { alpha: state.novelty.alpha, claims, expected_false, flagged },
    ...pointsAt(state, open, time),
    log: { ...log, lines: (log?.lines ?? []).filter((line) => line.t <= time), before: 0 },
    until: time,
  };
}

/** Replays the night: `{playing, shown, time, played, length, start, stop, seek, pause, paused}`; `shown` is drawn. */
function useReplay(root, state, agent) {
  const [history, setHistory] = useState(null);
  const [played, setPlayed] = useState(null); // seconds of replay; null: none
  const [paused, pause] = useState(false);
  const night = useRef(null);
  const playing = played !== null;
  const course = useMemo(() => (playing ? makeCourse(night.current) : null), [playing]);
  useEffect(() => {
    if (!playing || paused || !course) return;
    const step = (REPLAY_SPEED * REPLAY_STEP_MS) / 1000;
    const timer = setInterval(() => setPlayed((now) => Math.min(course.length, now + step)), REPLAY_STEP_MS);
    return () => clearInterval(timer);
  }, [playing, paused, course]);
  const start = () => {
    night.current = state;
    ask("replay", root, { agent }).then(setHistory, () => setHistory({}));
    pause(false);
    setPlayed(0);
  };
  const time = playing && course ? course.at(played) : null;
  const changes = useMemo(() => {
    const suggested = (history?.suggestions ?? []).flatMap((each) => [each.created, each.status_time]);
    const others = [...(history?.atlases ?? []), ...(history?.moments ?? [])].map((each) => each.t);
    return [...(course?.times ?? []), ...suggested, ...others];
  }, [course, history]);
  const step = changes.filter((t) => t <= time).length; // draw again after a change, not ten times a second
  const draw = () => (playing ? asOf(night.current, history, time) : state);
  const shown = useMemo(draw, [playing, playing ? step : state, history]);
  const stop = () => setPlayed(null);
  return { playing, shown, time, played, length: course?.length ?? 0, start, stop, paused, pause, seek: setPlayed };
}
