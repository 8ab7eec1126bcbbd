// What the colours mean: regimes with their names and how many runs each has.
import { h } from "./react.js";
import { regimeName } from "./words.js";

/** `only` is the regime that is picked out; `onName` is there for whoever may give names. */
export function Legend({ scene, only, onOnly, onName }) {
  const mark = (kind) => h("i", { className: `mark ${kind}`, "aria-hidden": true });
  const claims = scene.runs.some((run) => run.p !== null);
  return h(
    "ul",
    { className: "legend", "aria-label": "regimes" },
    scene.regimes.map((each) =>
      h(
        "li",
        { key: each.id },
        h(
          "button",
          {
            type: "button",
            className: "chip",
            "aria-pressed": only === each.id,
            onClick: () => onOnly(only === each.id ? null : each.id),
            title: "show these runs alone",
          },
          h("i", { className: "mark", style: { background: each.colour }, "aria-hidden": true }),
          `${regimeName(each.id, scene.regimes)} `,
          h("span", { className: "soft" }, each.n),
        ),
        onName &&
          each.id >= 0 &&
          only === each.id &&
          h("button", { type: "button", onClick: () => onName(each) }, "name it"),
      ),
    ),
    scene.runs.some((run) => run.novel) && h("li", null, mark("ring"), "novel"),
    scene.runs.some((run) => run.failed) && h("li", null, h("b", null, "× "), "failed"),
    claims && scene.runs.some((run) => run.done && run.p === null) && h("li", null, h("b", null, "? "), "no claim"),
    scene.next && h("li", null, h("b", { className: "star" }, "★ "), "next"),
  );
}
