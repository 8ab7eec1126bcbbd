// What the panels show, computed from what was read.
const LATEST = 100; // results whose motors, units and quantities are those of the page
const SOME_SUGGESTIONS = 20;
const SOME_COMMANDS = 10;

/** "12"; "12.2" for the second of several events of a scan, and the name of a result file where the run has no scan. */
function scanText({ scan_id, event, n_events = 1, file }) {
  if (scan_id === undefined || scan_id === null) return typeof file === "string" && file ? file : "?";
  return event && Math.max(event, n_events) > 1 ? `${scan_id}.${event}` : String(scan_id);
}

const finite = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);

/** The texts of notes of people on a result or its whole run. */
function notesOn(key, { raw_uid, raw_uids = [] }, notes) {
  const isOfRun = (note) => note.result === undefined && [raw_uid, ...raw_uids].includes(note.raw_uid);
  return notes.filter((note) => note.result === key || isOfRun(note)).reverse().map((note) => note.note).join("; ");
}

/** The coordinates of a point on the axes that the agent reports; without any, its first two numbers. */
function projected(point, digest, axes) {
  if (!axes?.middle) return point?.length > 1 ? [point[0], point[1]] : [null, null];
  if (point?.length !== axes.middle.length || (axes.digest && axes.digest !== digest)) return [null, null];
  return axes.directions.map((each) => each.reduce((sum, x, k) => sum + x * (point[k] - axes.middle[k]), 0));
}

/**
 * The state as rows and names for the panels.
 *
 * A run is `{key, number, scan, t, place, u, v, p, novel, regime, status, done, failed, duration, color, of, …}`.
 * The `runs` are in the order of time, in which `number` counts from 1; `rows` has those in progress too. `of` holds the
 * quantities of the timeline, `errors` their errors, and `limits` what a quantity lies between where it is not known.
 */
function makeScene(reader) {
  const { state, agent, labels, leftOut, notes, suggestions } = reader;
  const found = [...reader.results].filter(([, each]) => !each.agent || !agent || each.agent === agent);
  const time = ([, { event_time, run_time }]) => event_time ?? run_time ?? 0;
  found.sort((a, b) => time(a) - time(b) || (a[1].created < b[1].created ? -1 : 1));
  const last = found.slice(-LATEST).map(([, each]) => each);
  const namesOf = (name) => [...new Set(last.flatMap((each) => each[name] ?? []))];
  const motors = Object.keys(state.bounds ?? {}).length ? Object.keys(state.bounds) : namesOf("positions");
  const techniques = [...new Set(last.map((each) => each.technique))].reverse();
  const series = [...new Set(last.flatMap((each) => Object.keys(each.series ?? {})))].map((name) => `${name}_mean`);
  const named = [...new Set([...techniques.flatMap((name) => TECHNIQUES[name]?.quantities ?? []), ...series])];
  const ends = (each, name) => ["_above", "_below"].map((end) => finite(each[`${name}${end}`]));
  const isKnown = (name) => (found) => [found[1][name], ...ends(found[1], name)].some((x) => finite(x) !== null);
  const quantities = named.filter((name) => found.some(isKnown(name)));
  const level = state.novelty?.own_level ?? null; // exposures of this session are compared with each other
  const rows = found.map(([key, each]) => {
    const { status, sample, technique, reason, arrays = {}, digest, point, raw_uid, supersedes } = each;
    const [failed, isOver] = [status === "failed", status !== "computing"];
    const regime = labels[key] ?? each.regime ?? -1;
    const [u, v] = projected(point, digest, state.latent);
    return {
      ...{ key, status, technique, reason, arrays, digest, point, raw_uid, supersedes, failed, regime, u, v },
      done: isOver && !failed,
      left_out: leftOut[key] ?? "",
      scan: scanText(each),
      scan_id: each.scan_id,
      t: time([key, each]),
      sample: typeof sample === "string" ? sample : "",
      place: Object.fromEntries(motors.map((name) => [name, finite(each[name])])),
      p: finite(level === null ? each.novelty_p : each.own_p),
      novel: !(key in leftOut) && (level === null ? each.novel === true : each.own_p <= level),
      note: notes.length ? notesOn(key, each, notes) : "",
      duration: finite(each.frame_time_s * each.n_frames),
      color: regimeColor(regime),
      of: Object.fromEntries(quantities.map((name) => [name, finite(each[name])])),
      errors: Object.fromEntries(quantities.map((name) => [name, finite(each[`${name}_err`])])),
      limits: Object.fromEntries(quantities.map((name) => [name, ends(each, name)])),
    };
  });
  const runs = rows.filter((row) => row.status !== "computing");
  runs.forEach((run, k) => (run.number = k + 1));
  const { supported, sentences } = state.regimes ?? {};
  const { bound, alarm } = state.novelty ?? {};
  const counts = new Map();
  for (const run of runs) if (run.done && !run.left_out) counts.set(run.regime, (counts.get(run.regime) ?? 0) + 1);
  const regimes = [...counts].map(([id, n]) => ({ id, n, name: state.names?.[id], kind: state.kinds?.[id], color: regimeColor(id) }));
  const alpha = level ?? state.alpha ?? last.findLast((each) => each.has_alpha)?.has_alpha;
  const claims = runs.filter((run) => run.p !== null).length;
  const technique = state.technique ?? techniques[0] ?? "";
  return {
    ...{ agent, rows, runs, motors, supported, sentences, quantities, technique, count: reader.count },
    read: reader.results.size,
    byKey: new Map(runs.map((run) => [run.key, run])),
    units: { ...Object.assign({}, ...last.map((each) => each.units)), ...state.units },
    bounds: state.bounds ?? {},
    excluded: state.excluded ?? [],
    belief: reader.belief,
    regimes: regimes.sort((a, b) => (a.id < 0) - (b.id < 0) || a.id - b.id),
    latent: state.latent ?? {},
    novelty: { bound, alarm, claims, flagged: runs.filter((run) => run.novel).length, expected: alpha * claims },
    alpha: alpha ?? 0.05,
    ...queueOf(state, suggestions, agent),
  };
}

/** A suggestion as the panels show it. */
function suggestionOf(id, metadata) {
  const position = Object.fromEntries((metadata.positions ?? []).map((name) => [name, metadata[name]]));
  const taken_by = metadata.status === "accepted" ? metadata.status_by : null;
  return { ...metadata, id, position, taken_by, status_time: seconds(metadata.status_time) };
}

/**
 * The suggestion that is measured, the next one, and those that wait, in the order that the agent reports.
 *
 * The agent reports its queue soon after it has changed. Until then the newest one that it has proposed is the next one.
 */
function queueOf(state, suggestions, agent) {
  const ours = [...suggestions].filter(([, each]) => !each.agent || each.agent === agent);
  const known = ours.map(([id, each]) => suggestionOf(id, each));
  known.sort((a, b) => (a.created < b.created ? -1 : 1));
  const byId = new Map(known.map((each) => [each.id, each]));
  const measuring = byId.get(state.measuring);
  const reported = (state.queue ?? []).map((id) => byId.get(id)).filter((each) => each && each !== measuring);
  const waiting = reported.filter((each) => ["proposed", "accepted"].includes(each.status));
  const own = known.findLast((each) => each.status === "proposed");
  const queue = waiting.length || !own ? waiting : [own];
  const first = state.review ? queue.find((each) => each.taken_by) : null;
  const isOpen = ["accepted", "taken"].includes(measuring?.status);
  return {
    measuring: isOpen ? measuring : null,
    next: first ?? queue[0] ?? null,
    queue,
    suggestions: known.slice(-SOME_SUGGESTIONS),
  };
}

/** Who holds the agent, by its own report or by a command that waits. */
function heldBy(held, commands) {
  const last = commands.findLast(({ do: verb, status }) => ["hold", "release"].includes(verb) && status === "asked");
  if (last) return last.do === "hold" ? { ...last, pending: true } : null;
  return held ? { ...held, pending: false } : null;
}

/** The scene with what changes more often: the health of the agent, commands and the log. */
function shownState(reader, scene) {
  const { agent, agents, key, state, commands, lines, before, now } = reader;
  const health = agents.find((each) => each.key === key)?.health;
  const answered = commands.filter((each) => each.status !== "asked").slice(-SOME_COMMANDS);
  return {
    ...{ scene, agent, agent_key: key },
    agents: agents.length ? agents.map((each) => each.agent) : [agent],
    health: health && { ...health, now, came: Date.now() / 1000 },
    computing: scene.rows.filter((row) => row.status === "computing").slice(-SOME_SUGGESTIONS),
    commands: [...commands.filter((each) => each.status === "asked"), ...answered],
    held: heldBy(state.held, commands),
    undo: state.undo,
    log: { lines: lines.filter((line) => !line.agent || line.agent === agent), before },
  };
}

/** The runs most similar to one, nearest first, as `{key, scan, distance}`; those with the same parameters. */
function similarTo(runs, { key, point, digest }) {
  if (!point) return [];
  const others = runs.filter((run) => run.key !== key && run.digest === digest && run.point?.length === point.length);
  const distance = (run) => Math.sqrt(point.reduce((sum, x, k) => sum + (x - run.point[k]) ** 2, 0));
  return others.map((run) => ({ key: run.key, scan: run.scan, distance: distance(run) })).sort((a, b) => a.distance - b.distance);
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
