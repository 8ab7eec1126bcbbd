// A campaign as it is now, and as it grows: one question every two seconds, for what is new alone.
import { useEffect, useRef, useState } from "./react.js";
import { ask } from "./server.js";

const EVERY_MS = 800; // between an answer and the next question
const LAST_MS = 30_000; // between questions to a server that is away

/** What came is put beside what was there; the new state, in which old objects are not changed. */
export function merged(before, answer) {
  if (!before || answer.whole) return { ...answer, results: { ...answer.results, index: undefined } };
  const { index = [], n, of = {} } = answer.results ?? {};
  const results = { ...before.results, n: n ?? before.results.n, of: { ...before.results.of } };
  if (index.length) {
    for (const [name, column] of Object.entries(answer.results)) {
      if (!Array.isArray(column) || name === "index") continue;
      results[name] = [...(before.results[name] ?? [])];
      index.forEach((at, k) => (results[name][at] = column[k]));
    }
    for (const [name, column] of Object.entries(of)) {
      const longer = [...(before.results.of[name] ?? [])];
      index.forEach((at, k) => (longer[at] = column[k]));
      results.of[name] = longer;
    }
  }
  const kept = { ...before, ...answer, results };
  kept.regimes = { ...before.regimes, ...answer.regimes, label: answer.regimes?.label ?? before.regimes?.label };
  kept.sample = { ...before.sample, ...answer.sample };
  if (answer.sample?.belief_same || answer.sample?.belief === undefined) kept.sample.belief = before.sample?.belief;
  kept.latent = { ...before.latent, ...answer.latent };
  if (!answer.latent?.landmarks) kept.latent.landmarks = before.latent?.landmarks;
  const known = new Set((before.log?.lines ?? []).map((line) => line.key));
  const fresh = (answer.log?.lines ?? []).filter((line) => !known.has(line.key));
  kept.log = { ...before.log, ...answer.log, lines: [...(before.log?.lines ?? []), ...fresh].slice(-2000) };
  for (const name of ["suggestions", "wishes", "views", "thumbnail"]) kept[name] = answer[name] ?? before[name];
  return kept;
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
    let ends = false, timer, failures = 0, cursor, going = null, now = null; // prettier-ignore
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
        cursor = answer.cursor;
        now = merged(now, answer);
        setState(now);
        setFeed((old) => (old.kind === "live" ? old : { kind: "live" }));
        later(EVERY_MS);
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
