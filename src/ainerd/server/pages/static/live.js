// A campaign as it is now, and as it grows: two questions a second, for what is new alone.
import { useEffect, useRef, useState } from "./react.js";
import { ask } from "./server.js";

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
export function merged(before, answer) {
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
export function useCampaign(root, agent) {
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
export function useSession(root) {
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
