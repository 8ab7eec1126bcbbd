// A campaign as plain rows: what the panels take, without a server.
import { colour } from "./colours.js";

/**
 * Rows and names from the columns of the server's answer.
 *
 * A run is `{key, at, number, scan, t, x, y, u, v, p, novel, regime, status, done, failed, duration, colour, of}`;
 * `number` counts from 1 in the order of time, `of` are the quantities of the timeline. Runs come by time.
 */
export function scene(state) {
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
export function alike(runs, keys) {
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
