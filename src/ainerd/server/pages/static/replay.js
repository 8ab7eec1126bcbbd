// The night again, sixty times as fast: the same state as the server gives, as it was at each moment.
import { useEffect, useMemo, useRef, useState } from "./react.js";
import { ask } from "./server.js";

export const TIMES = 60;
const EACH_MS = 100;
const LONGEST_GAP_S = 600; // of the night's: beam dumps and breakfasts are cut short

/** Times of the night in s since 1970, with long gaps cut: `{start, end, at}`, where `at(s)` is the time after s seconds. */
export function course(times) {
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
export function asOf(state, history, time) {
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
export function useReplay(root, state, agent) {
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
