// What the technique shows of the run that is looked at, beside what is most like it.
import { Progress } from "./progress.js";
import { h, React, Safe, useEffect, useState } from "./react.js";
import { ask, get, page, techniqueView, thumbnail } from "./server.js";
import { number, place, regimeName } from "./words.js";

/** The technique's component once it is loaded: undefined while it is not, null if there is none. */
export function useTechnique(name, address) {
  const [view, setView] = useState(undefined);
  useEffect(() => {
    let wanted = true;
    setView(undefined);
    techniqueView(name, address).then(
      (found) => wanted && setView(() => found),
      () => wanted && setView(null),
    );
    return () => void (wanted = false);
  }, [name, address]);
  return view;
}

/** The run that is most like one, of those before it, by all components: undefined until known, null if there is none. */
function useNearest(scene, root, run, newest) {
  const [asked, setFound] = useState({});
  const found = newest?.key === run?.key ? { key: run?.key, keys: newest?.nearest ?? [] } : asked;
  useEffect(() => {
    if (!run || run.failed || newest?.key === run.key) return;
    let wanted = true;
    ask("result", `${root}/results/${run.key}`).then(
      ({ nearest }) => wanted && setFound({ key: run.key, keys: nearest.map((each) => each.key) }),
      () => wanted && setFound({ key: run.key, keys: [] }),
    );
    return () => void (wanted = false);
  }, [root, run?.key, newest?.key]);
  if (found.key !== run?.key) return undefined;
  return found.keys.map((key) => scene.byKey.get(key)).find((other) => other && other.number < run.number) ?? null;
}

/** A heading that says what was found in a run, the run, and the technique's pictures of it. */
export function Gallery({ scene, root, state, run, follows, replaying, onAsked, onPick, onFollow }) {
  const view = useTechnique(state.technique, state.views?.[state.technique]);
  const nearest = useNearest(scene, root, run, state.newest);
  const isAsked = !run || run.failed || (view !== undefined && nearest !== undefined);
  useEffect(() => void (isAsked && onAsked?.()), [isAsked]); // after the technique's own effects
  const goesOn = follows && !replaying && Boolean(state.computing?.length || state.health?.run) && !state.health?.closed;
  const progress = h(Progress, { agentPath: `${root}/agents/${state.agent_key}`, wanted: Boolean(state.agent_key) && goesOn });
  if (!run) return h("div", { className: "gallery" }, progress, h("p", { className: "nothing" }, "no complete run yet"));
  const step = (by) => {
    const other = scene.runs[run.number - 1 + by];
    return h(
      "button",
      {
        type: "button",
        disabled: !other,
        onClick: () => onPick(other.key),
        "aria-label": by < 0 ? "the run before" : "the run after",
      },
      by < 0 ? "‹" : "›",
    );
  };
  const at = place(
    Object.fromEntries(scene.motors.map((name, k) => [name, k ? run.y : run.x]).slice(0, 2)),
    scene.units,
  );
  const picture = thumbnail(root, run.key, state.thumbnail?.[state.technique]);
  const Own = view?.Gallery;
  return h(
    "div",
    { className: "gallery", "data-ainerd": "gallery" },
    progress,
    h(
      "div",
      { className: "row title" },
      step(-1),
      step(1),
      h("strong", null, `scan ${run.scan}`),
      h("span", { className: "soft" }, ` at ${at} `),
      h("i", { className: "mark", style: { background: run.colour }, "aria-hidden": true }),
      h("span", null, run.failed ? "failed" : regimeName(run.regime, scene.regimes)),
      h("span", null, run.p === null ? "no claim of novelty" : `p = ${number(run.p)}`),
      run.novel && h("strong", { className: "novel" }, "NOVEL"),
      h("a", { href: page(`${root}/results/${run.key}`) }, "open"),
      !follows && h("button", { type: "button", className: "quiet", onClick: onFollow }, "back to the newest"),
    ),
    run.failed
      ? h("p", { className: "nothing" }, "this run could not be analysed; its page says why")
      : view === undefined || nearest === undefined
        ? h("p", { className: "nothing" }, "reading…")
        : Own
          ? h(
              Safe,
              { what: "the technique's gallery", key: run.key },
              h(Own, { React, get, path: `${root}/results`, newest: run, nearest, runs: scene.runs }),
            )
          : picture
            ? h("img", { className: "large", src: picture, alt: `picture of scan ${run.scan}` })
            : h("p", { className: "nothing" }, "the technique has no picture"),
  );
}
